# bash completion for epolyfill, printed by: epolyfill --completion=bash

_epolyfill() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} at=1
    # bash takes --option=word for three words.
    [ "$current" != = ] || current=
    [ "$previous" != = ] || previous=${COMP_WORDS[COMP_CWORD - 2]}
    COMPREPLY=()
    while ((at < COMP_CWORD)); do
        case ${COMP_WORDS[at]} in
        --)
            ((at++))
            break
            ;;
        @TAKERS@)
            ((at++))
            [ "${COMP_WORDS[at]}" != = ] || ((at++))
            ;;
        -*) ;;
        *) break ;;
        esac
        ((at++))
    done
    if ((at < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$at"
        else
            COMPREPLY=($(compgen -f -- "$current"))
        fi
        return
    fi
    case $previous in
@CHOICES@    *)
        case $current in
        -*)
            COMPREPLY=($(compgen -W '@WORDS@' -- "$current"))
            [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
            ;;
        *) COMPREPLY=($(compgen -c -- "$current")) ;;
        esac
        ;;
    esac
}
complete -F _epolyfill epolyfill
