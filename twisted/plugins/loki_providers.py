"""
The providers that come with loki_twisted, as plugins.

Whoever has another one puts a file like this into a ``twisted/plugins`` directory of his own.
"""

from loki_twisted.agents.providers.aider import AiderProvider
from loki_twisted.agents.providers.cline import ClineProvider
from loki_twisted.agents.providers.command import CommandProvider
from loki_twisted.agents.providers.command_lines import ARGUMENTS
from loki_twisted.agents.providers.demonstration import DemoProvider
from loki_twisted.agents.providers.loki_mode import LokiModeProvider
from loki_twisted.agents.providers.one_shot import OneShot

claude = OneShot("claude", ARGUMENTS["claude"])
codex = OneShot("codex", ARGUMENTS["codex"])
cline = ClineProvider()
aider = AiderProvider()
opencode = OneShot("opencode", ARGUMENTS["opencode"])
loki = LokiModeProvider()
demo = DemoProvider()
command = CommandProvider()
