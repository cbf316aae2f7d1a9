# Runs inside the virtual machine and prints what happens; judges nothing. Each section begins with "## name"; the
# host's cgroup_v2.py reads them. Sections end by themselves: no command here waits for ever.
tree=/sys/fs/cgroup
service=$tree/service
socket=/run/box.sock
mkdir -p /run /tmp

section() { echo "## $1"; }

# launch GROUP OPTION...: the launcher, started in that group as a service manager would.
launch() {
    group=$1
    shift
    [ ! -d "$group/rustbox-launcher" ] || group=$group/rustbox-launcher
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" ${box:-/bin/rustbox-box} --socket $socket \
        --state-dir /run/box --slots 2 "$@" >/run/log 2>&1 &
    launcher=$!
}
wait_until() { # wait_until SECONDS COMMAND...
    tries=$(($1 * 10))
    shift
    until "$@" || [ $tries -le 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
}
gone() { ! kill -0 "$1" 2>/dev/null; }
settled() { grep -sqE 'event=(ready|start_failed)' /run/log || gone $launcher; }
start() {
    rm -f $socket /run/log
    launch "$@"
    wait_until 60 settled
    cat /run/log
}
stop() {
    kill "$launcher"
    wait_until 30 gone "$launcher"
    gone "$launcher" && echo "launcher ended"
}
# Of jobs: a group that was made ahead has no limit yet.
groups() { grep -Lx max $service/rustbox-*/job-*/memory.max 2>/dev/null; }
no_group() { [ -z "$(groups)" ]; }
run() { timeout 60 rustbox-box-run --socket $socket "$@"; }
# What is left once 5 s have passed, or as soon as it is nothing: a verdict does not wait for its sandbox to be taken down.
leftovers() {
    wait_until 5 no_group
    echo "groups $(groups | wc -l)"
    echo "ahead $(grep -lx max $service/rustbox-*/job-*/memory.max 2>/dev/null | wc -l)"
    echo "processes $(ps -o user,args | grep -c '[/]box/main')"
    echo "mounts $(wc -l </proc/$launcher/mountinfo)"
}
# refuse GROUP: a start that must fail
refuse() {
    start "$1"
    gone $launcher && echo "refused" || stop
}
job_group() { grep -lx 67108864 $service/rustbox-*/job-*/memory.max 2>/dev/null; }
has_job() { [ -n "$(job_group)" ] && grep -q . "$(dirname "$(job_group)")/cgroup.procs"; }

section kernel
uname -r
cat $tree/cgroup.controllers
echo "+memory +pids +cpu +cpuset" >$tree/cgroup.subtree_control

# Delegated groups that lack something.
section no-memory
mkdir -p $tree/poor
echo "+pids +cpu" >$tree/poor/cgroup.subtree_control
mkdir $tree/poor/svc
refuse $tree/poor/svc
section no-cpu
mkdir -p $tree/setonly
echo "+memory +pids +cpuset" >$tree/setonly/cgroup.subtree_control
mkdir $tree/setonly/svc
refuse $tree/setonly/svc
section shared
mkdir $tree/shared
sleep 300 &
stranger=$!
echo $stranger >$tree/shared/cgroup.procs
start $tree/shared
run c /test/hello.c
stop
echo "controllers left '$(cat $tree/shared/cgroup.subtree_control)'"
# The same in a container, whose root is no root.
section contained
box="/usr/bin/unshare -C -m sh /test/contained.sh"
start $tree/shared
gone $launcher && echo refused || stop
box=
kill $stranger

# What a dead launcher may have left, with somebody in it who forks, and a group below that only an
# administrator can have made.
section sweep
mkdir -p $service/rustbox-0/job-9/a/b
sh -c 'echo $$ >'$service'/rustbox-0/job-9/cgroup.procs; sleep 301 & exec sleep 302' &
sh -c 'echo $$ >'$service'/rustbox-0/job-9/a/b/cgroup.procs; exec sleep 301' &
wait_until 10 grep -q . $service/rustbox-0/job-9/cgroup.procs
wait_until 10 grep -q . $service/rustbox-0/job-9/a/b/cgroup.procs
start $service
ls -d $service/rustbox-0/job-9 2>&1
echo "sleepers $(ps -o args | grep -c '[s]leep 30[12]')"

section hello
run c /test/hello.c
leftovers
section limits
run --memory-mb 64 --processes 7 --wall-ms 6000 c /test/wait.c >/run/wait.out 2>&1 &
waiting=$!
wait_until 60 has_job
for file in memory.max memory.swap.max memory.oom.group pids.max cgroup.controllers; do
    echo "$file $(cat "$(dirname "$(job_group)")/$file")"
done
wait $waiting
cat /run/wait.out
section memory
run --memory-mb 64 c /test/memory.c
section forks
run --processes 12 c /test/forks.c
section spin
run --cpu-ms 400 --wall-ms 30000 c /test/spin.c
# A host whose core_pattern starts a helper: for a process of its own without core files it does.
section core
printf '#!/bin/sh\necho "$1" >>/run/helped\n' >/run/helper
chmod +x /run/helper
echo "|/run/helper %e" >/proc/sys/kernel/core_pattern
sh -c 'ulimit -c 0; kill -SEGV $$' 2>/dev/null
run c /test/abort.c
sleep 1
echo "helped $(cat /run/helped)"
echo core >/proc/sys/kernel/core_pattern
section after
leftovers
section stop
stop
ls -d $service/rustbox-0 2>&1

# The launcher dies in the middle of a job.
section killed
start $service
run --cpu-ms 60000 --wall-ms 60000 --memory-mb 64 c /test/spin.c >/dev/null 2>&1 &
wait_until 60 has_job
kill -9 $launcher
wait_until 20 gone $launcher
start $service
leftovers
section root-group
stop
start $tree
run c /test/hello.c
stop

# The memory limit's layer is off: the test must see the difference.
section layer-off
box=/bin/rustbox-box-layers
start $service --permissive --disable-layer memory
run --memory-mb 64 c /test/memory.c
stop
section end
