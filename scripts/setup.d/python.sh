# The locked Python environment in .venv.

new_enough='import sys; import venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11 python3.14; do
    if have "$name" && "$name" -c "$new_enough" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  return 1
}

python_environment() {
  local stamp python
  stamp=.venv/.kcfix-$(cat requirements-dev.lock pyproject.toml | sha256sum | cut -c1-16)
  if [ -e "$stamp" ] && .venv/bin/python -c 'import kcfix' 2>/dev/null; then
    return
  fi
  if ! python=$(find_python); then
    install "Python 3.11 or later" python3 python3-venv
    if ! python=$(find_python) && have apt-get; then
      install "Python 3.11 or later" python3.11 python3.11-venv
    fi
    python=$(find_python) || fail "Python 3.11 or later with venv is needed, and this system's packages bring an older one"
  fi
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c "$new_enough" >/dev/null 2>&1; then
    rm -rf .venv
    "$python" -m venv .venv || fail "could not make .venv"
  fi
  say "installing the locked Python environment"
  local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  quietly "${pip[@]}" --require-hashes -r requirements-dev.lock || fail "could not install requirements-dev.lock"
  quietly "${pip[@]}" --no-deps --no-build-isolation -e . || fail "could not install kcfix itself"
  rm -f .venv/.kcfix-*
  : >"$stamp"
}
