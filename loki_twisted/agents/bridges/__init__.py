"""
Programs that stand between a keeper and a command-line agent which needs more than its streams.

A driver is logic on lines. Where an agent wants to be answered by files, or reports by a file, or
has to be started once for each message, a *bridge* makes lines of that: the keeper runs it in the
agent's place, and it runs the agent. So all that happens stands in the spool, is read again
after a restart, and takes no other way than what any agent prints.

A bridge is run as ``python -I -S bridges/__main__.py NAME ARGUMENT... -- PROGRAM ARGUMENT...``. It
imports the standard library alone, by relative names inside.

=============  ==================================================================================
its output     The program's lines, whole and as they are, and between them its own: JSON objects
               with the fields ``loki.bridge``, the kind of line, and ``key``.
its errors     The program's own; it writes there itself.
its input      Orders: JSON objects, a line each.
its end        Is that of the program: the same exit code, the same signal.
=============  ==================================================================================

That of opencode is another kind: it passes nothing on that a program prints, says all on its output
itself, and speaks HTTP with the program (:mod:`.opencode`). It needs no key.

The ``key`` is drawn anew in each run, and told in the first line, before the program is started:
so nothing that a program prints, or a model has it print, is taken for a line of the bridge.
"""
