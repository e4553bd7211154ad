#!/bin/sh
# The whole journey in less than ten minutes on two cores: profile -> calibrate -> search with
# validation -> report. `make demo` runs it on this computer's CPU; `sh examples/demo.sh WORKSPACE
# SERIAL` on the phone with that serial.
set -eu
workspace=${1:-demo-workspace}
device=${2:-host}
start=$(date +%s)

echo "== 1. Profile: measure the layers of the search space into a latency table"
mnaslat profile --device "$device" --workspace "$workspace" --budget 150s

echo "== 2. Calibrate: measure whole networks and fit the predictor to them"
mnaslat calibrate --device "$device" --workspace "$workspace" --models 12

echo "== 3. Search: PPO with the predictor in its reward, the best candidates measured for real"
mnaslat search --device "$device" --workspace "$workspace" --samples 800 --validate-every 10

echo "== 4. Report"
mnaslat report --workspace "$workspace" --output "$workspace/report.html"

echo "The demo took $(($(date +%s) - start)) s."
