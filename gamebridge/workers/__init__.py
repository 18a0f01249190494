"""Worker processes: games in processes of their own, in this Python or another one.

Imported by the workers too, which may be any CPython from 3.8 on with nothing but numpy:
`worker`, `semaphores`, `layout`, `values`, `channel` and `origins` keep to that.
"""
