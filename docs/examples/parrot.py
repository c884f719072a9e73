"""An agent for the example of a driver: it repeats what it hears, and asks before it shouts."""

import json
import sys


def tell(**said):
    print(json.dumps(said), flush=True)


while line := sys.stdin.readline():
    words = json.loads(line)["hear"]
    if words.isupper():
        tell(ask="May I shout?", id="shout")
        if json.loads(sys.stdin.readline())["answer"] != "yes":
            words = words.lower()
    tell(say=words)
    tell(done=True)
