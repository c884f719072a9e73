"""
The providers that come with loki_twisted, as plugins.

Whoever has another one puts a file like this into a ``twisted/plugins`` directory of his own.
"""

from loki_twisted.agents.providers.acp_programs import (
    GEMINI_ABILITIES,
    AcpCommand,
    AcpProgram,
    copilot_arguments,
    gemini_arguments,
    goose_arguments,
    goose_variables,
)
from loki_twisted.agents.providers.aider import AiderProvider
from loki_twisted.agents.providers.claude import ClaudeProvider
from loki_twisted.agents.providers.cline import ClineProvider
from loki_twisted.agents.providers.codex import CodexExecProvider, CodexProvider
from loki_twisted.agents.providers.command import CommandProvider
from loki_twisted.agents.providers.demonstration import DemoProvider
from loki_twisted.agents.providers.loki_mode import LokiModeProvider
from loki_twisted.agents.providers.opencode.provider import OpencodeProvider, OpencodeRunProvider
from loki_twisted.agents.providers.replay import ReplayProvider

claude = ClaudeProvider()
codex = CodexProvider()
codex_exec = CodexExecProvider()
opencode = OpencodeProvider()
opencode_run = OpencodeRunProvider()
cline = ClineProvider()
aider = AiderProvider()
loki = LokiModeProvider()
demo = DemoProvider()
replay = ReplayProvider()
command = CommandProvider()
gemini = AcpProgram("gemini", gemini_arguments, abilities=GEMINI_ABILITIES)
goose = AcpProgram("goose", goose_arguments, goose_variables)
copilot = AcpProgram("copilot", copilot_arguments, complains=True)
acp = AcpCommand()
