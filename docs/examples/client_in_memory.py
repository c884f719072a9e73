"""Test a program that uses the client, without a socket and without waiting."""

from treq.testing import RequestTraversalAgent
from twisted.internet.task import Clock
from twisted.web.resource import Resource

from loki_twisted import LokiClient


class Api(Resource):
    """As much of the API as the program needs; or the resource of a real service."""

    isLeaf = True

    def render_GET(self, request):
        """Live."""
        request.setHeader("Content-Type", "application/json")
        return b'{"alive": true, "uptime": 1}'


def test_the_program():
    """Time passes when the test says so, and bytes are moved by it."""
    clock, agent = Clock(), RequestTraversalAgent(Api())
    client = LokiClient("http://localhost", reactor=clock, agent=agent)
    answers = []

    client.live().addCallback(answers.append)
    agent.flush()

    assert answers[0].alive
    assert clock.getDelayedCalls() == []
