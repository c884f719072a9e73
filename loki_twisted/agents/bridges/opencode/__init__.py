"""
The program before ``opencode serve``: lines on our side, HTTP and Server-Sent Events on the other.

It is run as ``python -I -S bridges/__main__.py opencode SECONDS -- PROGRAM ARGUMENT...`` in the
place of the CLI, and imports the standard library alone. It starts ``PROGRAM serve`` on a port of
loopback that only it knows the password of, and ends with it. What opencode prints goes to
standard error unchanged. SECONDS is how long opencode may take to listen.

An *order* is a JSON object on a line of standard input; ``do`` says which:

===================== ==========================================================================
``open``              ``conversation``: the id of a session to go on with, or null for a new one.
                      The first order, and the only one of its kind.
``prompt``            ``id``, ``text``, ``model?`` (``provider/model``), ``agent?``
``permission``        ``id``, ``session``, ``request``, ``reply`` (once, always, reject),
                      ``message?``
``question``          ``id``, ``request``, ``answers`` (a list of lists of texts)
``reject``            ``id``, ``request``: a question that is not answered
``abort``             ``id``: leave off what is being done
``end``               End opencode and this, at once.
===================== ==========================================================================

The end of standard input is an order too: end as soon as the session is idle.

Each line of standard output is a JSON object; ``loki.bridge`` says which:

===================== ==========================================================================
``session``           ``id``: the session that was opened. Events come from here on.
``event``             ``event``: one of opencode, as it came but for texts that were cut
``dropped``           ``bytes``: an event that was too large even so
``reconnected``       The stream of events was cut. What is there now follows as events.
``gap``               ``why``: what could not be read again after that
``done``              ``id``: of an order that opencode has taken
``refused``           ``id``, ``why``, ``status?``: of an order that it has not
``ended``             ``ok``, ``why``. The last line.
===================== ==========================================================================

The server of opencode is ours alone, so every session in it is ours or descends from it: the
events of all of them are passed on.
"""

from .program import main

__all__ = ["main"]
