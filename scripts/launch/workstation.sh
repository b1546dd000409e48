#!/bin/bash
# One process for each GPU of this machine; they share one study, and each point is done once.
#
#   workstation.sh my_experiment.py --records records
#   GPUS=2 workstation.sh staircase --scale paper
#
# A single `stepwell run` already uses all GPUs, one program after the other. Separate processes are worth it when a
# study has many programs of few points. Ctrl-C stops all of them with everything kept.

gpus=${GPUS:-$(nvidia-smi --list-gpus | wc -l)}
runs=()
stopped=no
trap 'stopped=yes; kill -TERM "${runs[@]}" 2>/dev/null' INT TERM
for ((gpu = 0; gpu < gpus; gpu++)); do
    CUDA_VISIBLE_DEVICES=$gpu stepwell run "$@" >"stepwell-gpu$gpu.log" 2>&1 &
    runs+=("$!")
    echo "GPU $gpu: stepwell-gpu$gpu.log"
done
if [ "$stopped" = yes ]; then kill -TERM "${runs[@]}" 2>/dev/null; fi # it came while they were started

status=0
for run in "${runs[@]}"; do
    wait "$run"
    ended=$?
    while kill -0 "$run" 2>/dev/null; do # a trap ends `wait` before the run has ended
        wait "$run"
        ended=$?
    done
    if [ "$ended" -gt "$status" ]; then status=$ended; fi
done
exit "$status"
