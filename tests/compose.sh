#!/usr/bin/env bash
# Builds the image, starts docker-compose.yml for real, publishes and subscribes through it, restarts it
# and finds the messages again. Then the same image as the fronts of docker-compose.cluster.yml.
#
# It needs a container engine and Compose, but no registry: where the engine lacks the base images of
# the Dockerfile, they are made from this machine's Debian packages, its Rust toolchain and the
# vendored crates. Everything it makes bears the name of the run and is removed at the end.
#
# Exit code 77 says that no engine answers, so that nothing was tested.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run="doorbell-test-$(date +%s)-$$"
label="doorbell.test=$run"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/$run.XXXXXX")

say() { printf '%s\n' "$*"; }
fail() {
    say "FAILED: $*" >&2
    exit 1
}
passed() { say "  ok  $*"; }

# --- The engine and Compose ---------------------------------------------------------------------------

# The engine's version, or a sentence why there is none.
engine() {
    command -v docker >/dev/null || { echo 'the command docker is missing'; return 1; }
    timeout 20 docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1
}

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        fail 'the engine answers, but neither "docker compose" nor "docker-compose" is there'
    fi
}

file=docker-compose.yml
compose() {
    timeout --foreground "${limit:-120}" "${compose[@]}" --file "$file" --project-name "$run" "$@"
}

# --- Base images --------------------------------------------------------------------------------------

readonly rust_image=rust:1-slim-bookworm debian_image=debian:bookworm-slim

present() { docker image inspect "$1" >/dev/null 2>&1; }

# An image that the engine has, under the name and label of this run: what is built upon it inherits the
# label, and is removed with it.
borrow_image() { # NAME IMAGE
    docker build --quiet --label "$label" --tag "$1" - <<<"FROM $2" >/dev/null
}

# The files of installed packages and of all that they depend on, relative to the root.
package_files() { # PACKAGE...
    local package
    for package in "$@"; do
        dpkg-query --status "$package" >/dev/null 2>&1 ||
            fail "the package $package is not installed here, and the base images need its files"
    done
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$@" | sort --unique >"$scratch/needed"
    # In both spellings, with and without the architecture.
    dpkg-query --show --showformat '${Package}\n${binary:Package}\n' | sort --unique |
        comm -12 - "$scratch/needed" >"$scratch/packages"
    # Where /bin and its like are links into /usr, dpkg still knows files by their old places.
    local top path merged=()
    for top in bin sbin lib lib32 lib64 libx32; do
        if [ -L "/$top" ]; then merged+=(-e "s,^/$top/,/usr/$top/,"); fi
    done
    xargs --arg-file "$scratch/packages" dpkg-query --listfiles |
        sed "${merged[@]}" -e '/^\/usr\/share\/\(doc\|info\|locale\|man\)\//d' -e '/^\/\./d' |
        while IFS= read -r path; do
            if [ -d "$path" ] && [ ! -L "$path" ]; then
                continue # made as the files need it
            elif [ -e "$path" ]; then
                echo "${path#/}"
            fi
        done | sort --unique
}

# Folders that hold no package's files, and still must be there.
empty_folders() { printf '%s\n' tmp root var/tmp; }

# Imports what is listed on its standard input.
import_image() { # NAME [OPTION...]
    local name=$1
    shift
    tar --create --directory=/ --no-recursion --files-from=- |
        docker import --change "LABEL $label" "$@" - "$name" >/dev/null
}

import_runtime_image() {
    { package_files base-files bash coreutils dash libgcc-s1; empty_folders; } |
        import_image "$RUNTIME_IMAGE"
}

# Toolchain and crates keep their places of this machine, so that nothing in them has to be changed.
import_build_image() {
    local sysroot path packages=(base-files bash coreutils dash gcc libc6-dev) folders=()
    # The question is whether it runs, not how fast: the compiler need not try as hard.
    local hasty=(
        --change 'ENV CARGO_PROFILE_RELEASE_LTO=off'
        --change 'ENV CARGO_PROFILE_RELEASE_OPT_LEVEL=0'
        --change 'ENV CARGO_PROFILE_RELEASE_DEBUG=false'
    )
    sysroot=$(rustc --print sysroot) || fail 'the image for the build needs the Rust toolchain of this machine'
    if [ "$sysroot" = /usr ]; then
        packages+=(cargo rustc)
    else
        folders+=("$sysroot")
    fi
    cargo vendor --quiet --locked --versioned-dirs --respect-source-config \
        "$scratch/cargo/vendor" >/dev/null 2>"$scratch/vendor.log" ||
        { cat "$scratch/vendor.log" >&2; fail 'the crates could not be vendored'; }
    cat >"$scratch/cargo/config.toml" <<CONFIG
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "$scratch/cargo/vendor"
CONFIG
    folders+=("$scratch/cargo")
    {
        package_files "${packages[@]}"
        empty_folders
        # Made by the compiler's installation rather than contained in its package.
        for path in usr/bin/cc etc/alternatives/cc; do
            if [ -e "/$path" ]; then echo "$path"; fi
        done
        find "${folders[@]}" -path '*/share/doc' -prune -o -type d -o -print | sed 's,^/,,'
    } | import_image "$BUILD_IMAGE" --change "ENV PATH=$sysroot/bin:/usr/local/bin:/usr/bin:/bin" \
        --change "ENV CARGO_HOME=$scratch/cargo" "${hasty[@]}"
}

# The proxy of this machine, and the server of NATS that the tests have fetched, which needs nothing
# else.
import_cluster_images() {
    local nats=${NATS_SERVER:-target/tools/bin/nats-server}
    export NATS_IMAGE="$run-nats" HAPROXY_IMAGE="$run-haproxy"
    command -v haproxy >/dev/null && [ -x "$nats" ] || return 1
    { package_files base-files bash coreutils dash haproxy; empty_folders; } |
        import_image "$HAPROXY_IMAGE"
    tar --create --dereference --directory="$(dirname "$nats")" nats-server |
        docker import --change "LABEL $label" --change 'ENTRYPOINT ["/nats-server"]' \
            - "$NATS_IMAGE" >/dev/null
}

make_base_images() {
    export BUILD_IMAGE="$run-build" RUNTIME_IMAGE="$run-runtime"
    if ! command -v dpkg-query >/dev/null || { present "$rust_image" && present "$debian_image"; }; then
        say "base images: $rust_image and $debian_image"
        borrow_image "$BUILD_IMAGE" "$rust_image"
        borrow_image "$RUNTIME_IMAGE" "$debian_image"
    else
        say 'base images: made from the Debian packages and the Rust toolchain of this machine'
        import_runtime_image
        import_build_image
    fi
}

# --- The end ------------------------------------------------------------------------------------------

clean_up() {
    local code=$?
    trap - EXIT
    set +e
    if [ -n "${started:-}" ]; then
        if [ "$code" -ne 0 ]; then
            say '--- what the containers said ---' >&2
            compose logs --no-color --tail 50 >&2
        fi
        compose down --volumes --timeout 10 >/dev/null 2>&1
    fi
    if [ -n "${engine_answers:-}" ]; then
        # The newest first: an image goes before the one that it was built upon.
        docker image ls --all --quiet --filter "label=$label" |
            xargs --no-run-if-empty docker image rm --force >/dev/null 2>&1
    fi
    rm -rf "$scratch"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# --- Talking to the service ---------------------------------------------------------------------------

# The port of this machine that leads to a port of the service. It changes at every start.
port_of() { compose port doorbell "$1" | sed 's/.*://'; }

find_ports() {
    http=$(port_of 8080)
    tcp=$(port_of 1989)
    if [ -z "$http" ] || [ -z "$tcp" ]; then fail 'the service publishes no ports'; fi
}

# Also when it is stopped.
container() { docker ps --all --quiet --filter "label=com.docker.compose.project=$run"; }

state() { docker inspect --format "$1" "$(container)"; }

wait_until_healthy() {
    for _ in {1..120}; do
        [ "$(state '{{.State.Health.Status}}')" = healthy ] && return
        sleep 0.5
    done
    docker inspect --format '{{range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end}}' \
        "$(container)" >&2
    fail "the container is $(state '{{.State.Status}}, {{.State.Health.Status}}') after a minute"
}

# Opens the line protocol as file descriptor 3.
connect() {
    exec 3<>"/dev/tcp/127.0.0.1/$tcp"
    expect '"event":"open"'
}

id_in() { # EVENT
    local rest=${1#*\"id\":\"}
    echo "${rest%%\"*}"
}

tell() { printf '%s\n' "$*" >&3; }

# Reads the next line, which must hold the text.
expect() {
    IFS= read -r -t 10 line <&3 || fail "no line came where one with $1 was expected"
    [[ $line == *"$1"* ]] || fail "a line with $1 was expected, but this came: $line"
}

publish() { curl --silent --show-error --fail --max-time 10 --data-binary "$1" "http://127.0.0.1:$http/visitors"; }

# --- The test -----------------------------------------------------------------------------------------

if ! version=$(engine); then
    say "not run: no container engine answers ($version)"
    exit 77
fi
engine_answers=yes
find_compose
say "container engine $version, $("${compose[@]}" version --short | tail -n 1 | sed 's/^v*/Compose /')"
command -v curl >/dev/null || fail 'curl is missing'
# Without the plugin for it, the engine's classic builder is the one that is there.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

make_base_images
export DOORBELL_IMAGE="$run" DOORBELL_BIND=127.0.0.1 DOORBELL_HTTP_PORT=0 DOORBELL_TCP_PORT=0
started=yes

say 'building (some minutes) ...'
SECONDS=0
limit=1500 compose build >"$scratch/build.log" 2>&1 ||
    { tail -n 40 "$scratch/build.log" >&2; fail 'the image could not be built'; }
passed "the image builds ($SECONDS s)"

compose up --detach --no-build >"$scratch/up.log" 2>&1 ||
    { cat "$scratch/up.log" >&2; fail 'the service could not be started'; }
wait_until_healthy
passed 'the service starts and is healthy'

[ "$(compose exec -T doorbell id -u)" = 10001 ] || fail 'the server does not run as its own user'
if compose exec -T --user 0 doorbell touch /here 2>/dev/null; then
    fail 'the root file system can be written'
fi
passed 'the server is not root, and its file system is read-only'

find_ports
connect
tell 'SUB visitors'
expect '"event":"ok"'
publish 'over HTTP' >/dev/null
expect '"message":"over HTTP"'
tell 'PUB visitors over TCP'
for _ in 1 2; do # the answer and the message, in either order
    IFS= read -r -t 10 line <&3 || fail 'the publisher over TCP heard nothing'
    [[ $line != *'"event":"ok"'* ]] || last=$(id_in "$line")
done
[ -n "${last:-}" ] || fail 'the message over TCP was not acknowledged'
exec 3>&-
passed 'what is published over HTTP and TCP is pushed to a subscriber'

compose exec -T doorbell doorbell publish --quiet visitors 'by the client' ||
    fail 'the client in the image could not publish'
passed 'the client in the image publishes'

# All three, in order, over either transport.
find_all_messages() {
    local held
    held=$(curl --silent --show-error --fail --max-time 10 \
        "http://127.0.0.1:$http/visitors/json?poll=1&since=all" | sed 's/.*"message":"\([^"]*\)".*/\1/')
    [ "$held" = $'over HTTP\nover TCP\nby the client' ] || fail "after $1 a poll finds: $held"
    connect
    tell "SUB visitors since=$last"
    expect '"event":"ok"'
    expect '"message":"by the client"'
    exec 3>&-
}

compose stop >/dev/null 2>&1
[ "$(state '{{.State.ExitCode}}')" = 0 ] || fail "the server ended with $(state '{{.State.ExitCode}}')"
compose start >/dev/null 2>&1
wait_until_healthy
find_ports
find_all_messages 'a restart'
passed 'a restart ends with exit code 0 and keeps the messages and their ids'

compose down --timeout 10 >/dev/null 2>&1
compose up --detach --no-build >/dev/null 2>&1
wait_until_healthy
find_ports
find_all_messages 'a new container'
passed 'a new container on the same volume finds them again'
compose down --volumes --timeout 10 >/dev/null 2>&1

# --- The cluster --------------------------------------------------------------------------------------

if ! import_cluster_images; then
    say 'not tried: docker-compose.cluster.yml (needs haproxy and nats-server)'
    exit 0
fi
file=docker-compose.cluster.yml
compose up --detach --no-build >"$scratch/up.log" 2>&1 ||
    { cat "$scratch/up.log" >&2; fail 'the cluster could not be started'; }

# Through the proxy; the port of this machine may be another one after a start.
http=$(compose port proxy 8080 | sed 's/.*://')
healthy() { curl --silent --fail --max-time 5 "http://127.0.0.1:$http/v1/health" >/dev/null; }
for _ in {1..120}; do
    healthy && break
    sleep 0.5
done
healthy || fail 'the cluster is not healthy after a minute'
passed 'three servers of NATS, two fronts and a proxy start and are healthy'

by_front() { # FRONT COMMAND...
    local front=$1
    shift
    compose exec -T "$front" doorbell "$@" --server http://127.0.0.1:8080
}
# Polls through the proxy until this is what is held, as it is once the proxy has noticed who is gone.
# What was published again, because nobody knew, may be there twice.
expect_held() { # WHEN TEXTS
    local held
    for _ in {1..60}; do
        held=$(curl --silent --max-time 5 "http://127.0.0.1:$http/visitors/json?poll=1&since=all" |
            sed 's/.*"message":"\([^"]*\)".*/\1/' | uniq) || true
        [ "$held" = "$2" ] && return
        sleep 0.5
    done
    fail "$1 a poll finds: $held"
}
for front in doorbell1 doorbell2; do
    for _ in {1..60}; do
        compose exec -T "$front" bash -c '</dev/tcp/127.0.0.1/8080' 2>/dev/null &&
            by_front "$front" publish --quiet visitors "by $front" 2>/dev/null && break
        sleep 0.5
    done
done
expect_held 'through the proxy' $'by doorbell1\nby doorbell2'
passed 'what either front takes is read through the proxy'

publish_again() { # TEXT
    for _ in {1..60}; do
        publish "$1" >/dev/null 2>&1 && return
        sleep 0.5
    done
    fail "nobody takes: $1"
}
compose kill doorbell1 >/dev/null 2>&1
publish_again 'after its death'
expect_held 'without a front' $'by doorbell1\nby doorbell2\nafter its death'
passed 'a front is killed, and nothing is missing'

compose kill nats1 >/dev/null 2>&1
publish_again 'with two servers'
expect_held 'without a server of NATS' $'by doorbell1\nby doorbell2\nafter its death\nwith two servers'
passed 'a server of NATS is killed, and publishing goes on'
