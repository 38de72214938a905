"""A small function host: runs the very same function app where Core Tools are not installed.

It reads the app's own bindings, as Azure's host does, and runs its blob, queue, timer and HTTP
triggers. It serves one machine: no function keys, no scaling, no bindings beyond those four.
"""
