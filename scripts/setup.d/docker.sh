# A Docker Engine that answers: the one that is there, else Debian's `docker.io`, started here where no init system does it.

engine_wait_seconds=60
engine_run=${KCFIX_SETUP_DOCKER_RUN:-/var/run}
engine_log=${KCFIX_SETUP_DOCKER_LOG:-/var/log/kcfix-dockerd.log}

engine_answers() { docker info >/dev/null 2>&1; }

docker_engine() {
  if have docker && engine_answers; then
    return
  fi
  if [ -n "${DOCKER_HOST:-}" ]; then
    fail "the Docker Engine at DOCKER_HOST=$DOCKER_HOST does not answer"
  fi
  if ! have docker || ! have dockerd; then
    install "Docker" docker.io
  fi
  have docker || install "Docker's command line" docker-cli # newer releases package it apart
  if ! as_root docker info >/dev/null 2>&1; then
    start_engine
  fi
  if ! engine_answers; then
    admit_user
  fi
}

start_engine() {
  say "starting the Docker Engine"
  if [ -d /run/systemd/system ]; then
    quietly as_root systemctl start docker || fail "systemctl start docker failed"
  else
    clear_stale
    as_root sh -c "setsid nohup dockerd ${KCFIX_SETUP_DOCKER_OPTIONS:-} >>'$engine_log' 2>&1 </dev/null &"
  fi
  wait_for_engine
}

wait_for_engine() {
  local until=$((SECONDS + engine_wait_seconds))
  while ! as_root docker info >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then
      as_root tail -n 5 "$engine_log" >&2 2>/dev/null || true
      fail "the Docker Engine did not answer within $engine_wait_seconds s (log: $engine_log)"
    fi
    sleep 0.5
  done
}

# An engine that was killed leaves its pid files and sockets behind, and refuses to start over them once another process
# has got the same pid. Only those are removed whose process is not what the file says.
clear_stale() {
  local file name
  for file in "$engine_run/docker.pid:dockerd" "$engine_run/docker/containerd/containerd.pid:containerd"; do
    name=${file##*:}
    file=${file%:*}
    if as_root test -f "$file" && ! is_process "$(as_root cat "$file")" "$name"; then
      say "removing $file of an engine that is gone"
      as_root rm -f "$file"
      [ "$name" = dockerd ] && as_root rm -f "$engine_run/docker.sock"
      [ "$name" = containerd ] && as_root rm -f "$engine_run/docker/containerd/containerd.sock" \
        "$engine_run/docker/containerd/containerd.sock.ttrpc" "$engine_run/docker/containerd/containerd-debug.sock"
    fi
  done
  return 0
}

is_process() { [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ]; }

# The engine answers to root only: let this user in through the group `docker`.
admit_user() {
  say "adding $(id -un) to the group docker"
  as_root usermod -aG docker "$(id -un)" || fail "could not add $(id -un) to the group docker"
  scripts/with-docker true || fail "the Docker Engine does not answer to $(id -un)"
}
