"""Thin shells over what the Linux kernel offers and Twisted does not: inotify, pidfd, procfs."""
