# Completion of glia for bash: verbs, their flags as `glia VERB --help` lists them, and model ids.
_glia() {
  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]:-}
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(glia --help 2>/dev/null | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\).*/\1/p') --help --version" -- "$word")
  elif [ "${word#-}" != "$word" ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(glia "$verb" --help 2>/dev/null | grep -o -- '--[a-z-]*' | sort -u)" -- "$word")
  elif { [ "$verb" = run ] || [ "$verb" = pull ] || [ "$verb" = rm ]; } && [ "$COMP_CWORD" = 2 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(glia list 2>/dev/null | grep -o '^@[^ ]*')" -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -F _glia glia
