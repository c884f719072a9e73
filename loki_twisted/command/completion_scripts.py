"""The parts of the completions that are the same whatever verbs there are."""

from __future__ import annotations

from string import Template
from typing import Final

COMMON: Final = Template("""\
# What may come at a place: words, or one of @session, @question, @file and @directory;
# @list and words where several may come with commas between them.
_lokictl_positional() { # VERB NUMBER
    case "$$1:$$2" in
$positionals
    esac
}

_lokictl_value() { # VERB OPTION; fails if that is no option with a value
    case "$$1:$$2" in
$values
        *) return 1 ;;
    esac
}

_lokictl_options() { # VERB
    case "$$1" in
$options
    esac
}

# Looks at the words that stand before the one that is to be completed.
_lokictl_look() { # WORDS
    local word
    verb=- place=0 pending= server=()
    for word in "$$@"; do
        if [[ -n $$pending ]]; then
            case "$$pending" in
                --url|--token-file) server+=("$$pending" "$$word") ;;
            esac
            pending=
        elif [[ $$word == -* ]]; then
            if _lokictl_value "$$verb" "$$word" >/dev/null; then pending=$$word; fi
        elif [[ $$verb == - ]]; then
            verb=$$word
        else
            place=$$((place + 1))
        fi
    done
}

_lokictl_candidates() { # CURRENT
    if [[ -n $$pending ]]; then
        _lokictl_value "$$verb" "$$pending"
    elif [[ $$1 == -* ]]; then
        _lokictl_options "$$verb"
    elif [[ $$verb == - ]]; then
        echo "$verbs"
    else
        _lokictl_positional "$$verb" "$$place"
    fi
}

# Ids and nothing else, whatever a server says.
_lokictl_ids() { # VERB
    timeout 5 lokictl "$${server[@]}" "$$1" --quiet 2>/dev/null |
        grep -xE '[A-Za-z0-9][A-Za-z0-9_-]*'
}""")
"""For bash and zsh, which read it alike."""

BASH: Final = Template("""\
# Completion of lokictl for bash. To have it: source <(lokictl completion bash)

$common

_lokictl() {
    local current= verb place pending candidates word listed=
    local -a server words
    # Not COMP_WORDS, which are cut at the colons of URLs.
    read -ra words <<<"$${COMP_LINE:0:COMP_POINT}"
    if [[ $${COMP_LINE:0:COMP_POINT} != *[[:blank:]] ]]; then
        current=$${words[-1]}
        unset "words[-1]"
    fi
    _lokictl_look "$${words[@]:1}"
    candidates=$$(_lokictl_candidates "$$current")
    COMPREPLY=()
    case "$$candidates" in
        @file) compopt -o default; return ;;
        @directory) compopt -o dirnames; return ;;
        @session) candidates="latest $$(_lokictl_ids ps)" ;;
        @question) candidates=$$(_lokictl_ids inbox) ;;
        "@list "*)
            compopt -o nospace 2>/dev/null
            candidates=$${candidates#@list } listed=$${current%"$${current##*,}"} ;;
    esac
    # What is put in stands behind the last colon.
    local colon=
    [[ $$COMP_WORDBREAKS != *:* ]] || colon=$${current%"$${current##*:}"}
    # Not by compgen -W, which would evaluate what a server says.
    local -; set -f
    for word in $$candidates; do
        word=$$listed$$word
        if [[ $$word == "$$current"* ]]; then COMPREPLY+=("$${word#"$$colon"}"); fi
    done
}
complete -F _lokictl lokictl""")

ZSH: Final = Template("""\
#compdef lokictl
# Completion of lokictl for zsh. To have it: source <(lokictl completion zsh)
# or keep it as a file _lokictl in a directory of $$fpath.

$common

_lokictl() {
    local verb place pending candidates
    local -a server
    _lokictl_look "$${(@)words[2,CURRENT-1]}"
    candidates=$$(_lokictl_candidates "$$words[CURRENT]")
    case "$$candidates" in
        @file) _files; return ;;
        @directory) _files -/; return ;;
        @session) candidates="latest $$(_lokictl_ids ps)" ;;
        @question) candidates=$$(_lokictl_ids inbox) ;;
        "@list "*) compset -P '*,'; compadd -S '' -- $${=candidates#@list }; return ;;
    esac
    compadd -- $${=candidates}
}
if [[ $$funcstack[1] == _lokictl ]]; then
    _lokictl "$$@"
else
    compdef _lokictl lokictl
fi""")

FISH_HEAD: Final = Template("""\
# Completion of lokictl for fish. To have it: lokictl completion fish | source
# or keep it as ~/.config/fish/completions/lokictl.fish.

function __lokictl_ids # VERB
    set -l server
    set -l pending
    for word in (commandline -opc)
        if test -n "$$pending"
            set -a server $$pending $$word
            set pending
        else if contains -- $$word --url --token-file
            set pending $$word
        end
    end
    # Ids and nothing else, whatever a server says.
    timeout 5 lokictl $$server $$argv[1] --quiet 2>/dev/null |
        string match -r '^[A-Za-z0-9][A-Za-z0-9_-]*$$'
end

# Whether the verb is that one, - for none yet, and so many other words stand behind it.
function __lokictl_at # VERB [NUMBER]
    set -l words (commandline -opc)
    set -e words[1]
    set -l verb -
    set -l place 0
    set -l pending
    for word in $$words
        if test -n "$$pending"
            set pending
        else if contains -- $$word $valued
            set pending yes
        else if string match -q -- '-*' $$word
            continue
        else if test "$$verb" = -
            set verb $$word
        else
            set place (math $$place + 1)
        end
    end
    test "$$verb" = $$argv[1]; and contains -- "$$argv[2]" '' $$place
end

# Each word behind those that stand there already, with commas between them.
function __lokictl_list # WORDS
    set -l given (string match -r -- '^.*,' (commandline -ct)); or set given ''
    printf '%s\\n' $$given$$argv
end

complete -c lokictl -f""")
