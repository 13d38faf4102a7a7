"""What holds a candidate: a process that may compute, read the libraries, and write its result; nothing else.

Layers, each with a module of its own: `limits` (what it may use), `identity` (whose rights it has), `landlock` (which files it
sees), `seccomp` (what it may ask the kernel for), `namespaces` (which other processes and networks exist for it), `bubblewrap`
(the replacement for Landlock where the kernel has none). `policy` puts them together, `canary` tries whether they hold.
"""
