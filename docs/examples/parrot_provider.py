"""The provider of the parrot. It lies in a directory ``twisted/plugins`` on Python's path."""

import json

from zope.interface import implementer

from loki_twisted.agents.driving import Abilities, IProvider, Messaging
from loki_twisted.agents.interface import LaunchPlan
from loki_twisted.agents.outputs import Asked, EndInput, Taken, TurnBegan, TurnEnded, Verdict, Write
from loki_twisted.agents.providers.cleaning import clean
from loki_twisted.agents.providers.driver import Driver
from loki_twisted.agents.providers.objects import maybe_object
from loki_twisted.agents.providers.programs import not_installed
from loki_twisted.agents.providers.telling import MAIN, log, name, said, text
from loki_twisted.model.errors import InvalidRequest
from loki_twisted.model.inputs import InputKind, Option

ANSWERS = [Option(value="yes", label="Yes"), Option(value="no", label="No")]


class ParrotDriver(Driver):
    says_done = True

    def __init__(self, request, memory):
        self.request = request
        self.is_ready = memory == "idle"

    def begin(self):
        return [TurnBegan(), write(hear=self.request.prompt)]

    def line(self, stream, line):
        match maybe_object(clean(line)):
            case {"say": words}:
                return [said(MAIN, "parrot", words)]
            case {"ask": words, "id": key}:
                question = InputKind.QUESTION
                return [Asked(key=name(key), kind=question, prompt=text(words), options=ANSWERS)]
            case {"done": True}:
                self.is_ready = self.request.stays_open
                return [TurnEnded(Verdict.DONE), *([] if self.is_ready else [EndInput()])]
        return [log("info" if stream == "stdout" else "error", line, "parrot")]

    def say(self, message):
        self.is_ready = False
        return [TurnBegan(), write(hear=message.text), Taken(message.id)]

    def answer(self, key, answer):
        return [write(answer=answer.values[0], to=key)]

    def memory(self):
        return "idle" if self.is_ready else ""


def write(**words):
    return Write(json.dumps(words) + "\n")


@implementer(IProvider)
class ParrotProvider:
    name = "parrot"
    through_loki_mode = False
    abilities = Abilities(asks=True, messaging=Messaging.NEXT)

    def program(self, machine):
        return machine.find("parrot")

    def plan(self, request, machine):
        program = self.program(machine)
        if program is None:
            raise not_installed(self.name)
        if request.prompt is None:
            raise InvalidRequest.of([("prompt", "a parrot needs something to repeat")])
        env = machine.environment(request.session_id, {})
        return LaunchPlan(argv=[program], env=env, cwd=request.project_dir, accepts_input=True)

    def driver(self, request, memory):
        return ParrotDriver(request, memory)


parrot = ParrotProvider()
