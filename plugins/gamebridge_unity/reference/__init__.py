"""The reference player: a program that offers scenes to trainers as a Unity build would.

    python -m gamebridge_unity.reference --scene basic --mlagents-port 5004

Its scenes cover the protocol's corners, its faults what goes wrong with players. It shows how
`gamebridge_unity.player` is used; docs/unity-player.md tells of all switches.
"""
