"""The program that runs inside Blender, as a process of its own; nothing outside it imports it.

It imports `bpy`, which is GPL, and the standard library, and speaks with the worker over two pipes
only. Everything here runs on the Python of Blender 3.4 (3.10) and later.
"""
