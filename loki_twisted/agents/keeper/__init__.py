"""
The program beside each agent: it starts the agent, holds its whole process tree, outlives the
server, and writes down how the agent ended.

It is run as ``python -I -S keeper/__main__.py DIR -- PROGRAM ARGUMENT...`` with the environment
that the agent shall have. It imports the standard library alone, by relative names inside, so that
it starts fast and stays small. What it and the server have to say to each other are files of DIR
(mode 0700; their names are in :mod:`.layout`):

=============== ==================================================================================
``spec.json``   How to start the agent. The server writes it before the keeper is started.
``intent.json`` What the server has to know of it again where its own records are lost.
``lock``        Held (flock) while the keeper lives.
``pid.json``    The program runs, and under which numbers.
``stdout``      What the agent writes, in append mode, itself; so is ``stderr``.
``input``       What the agent shall read. The server appends, the keeper copies.
``input.end``   It is there when ``input`` will not grow any more.
``control``     A FIFO for orders, a line each: ``stop SECONDS``, ``pause``, ``resume``, and
                ``input`` (there is more of it, or its end). SIGTERM is an order too: stop.
``exit.json``   How it ended. The last thing that is written.
``keeper.log``  Where the keeper's own complaints go.
=============== ==================================================================================

How no process gets away: the keeper leads a session, and is a *subreaper*, so a descendant whose
parent ends becomes the keeper's child, also one that has made a session of its own. So "no child
is left" means "nothing is left", and a walk from child to child finds everybody.

The agent is in another process group than the keeper, but leads neither a group nor a session:
``setsid(1)`` in front of a program forks if it finds itself a leader, and the exit code would be
lost; and ``kill 0`` in a script must not hit the keeper.
"""
