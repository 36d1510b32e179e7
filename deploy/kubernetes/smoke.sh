#!/usr/bin/env bash
# Tests deploy/kubernetes/local on a real cluster, in two temporary namespaces, which it removes.
# It takes some minutes, and needs
# - kubectl, whose current context is a cluster with a default StorageClass,
# - the image IMAGE:TAG (slipway:latest) and mysql:9.7, loaded into the cluster or in a registry,
# - the secrets of `make kubernetes-secrets`.
# Usage: smoke.sh [CHECK...]: only these of the checks at the end, such as policies_hold.
# Each check prints PASSED, FAILED or SKIPPED at its end. The last lines repeat what was not PASSED,
# with the reason. The exit status is 0 if no check has failed.
# shellcheck disable=SC2329  # `check` calls functions by their names
set -euo pipefail
cd "$(dirname "$0")"

IMAGE=${IMAGE:-slipway} TAG=${TAG:-latest}
app=slipway-smoke-$RANDOM
edge=$app-edge  # the namespace of the service's client
host=slipway.$app.svc
failed=0
skipped=77
summary=

# Connects to HOST PORT. Exits with status 3 if HOST has an address, but the connection fails.
REACH='
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except socket.gaierror:
    raise
except OSError as error:
    print(f"{sys.argv[1]}:{sys.argv[2]}: {error}")
    sys.exit(3)
print(f"{sys.argv[1]}:{sys.argv[2]} can be reached")
'

# Calls the API on HOST with TOKEN, which the service looks up in the database.
CALL='
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
connection.request("GET", "/api/me", headers={"Authorization": f"Bearer {sys.argv[2]}"})
answer = connection.getresponse()
print("GET /api/me", answer.status, answer.read().decode())
sys.exit(answer.status != 200)
'

# Calls the API on HOST with TOKEN in THREADS threads, half of which keep their connection alive,
# until the file /tmp/stop exists or ten minutes are over. Fails if any request fails.
LOAD='
import http.client, os, sys, threading, time
answered, failures, end = [], [], time.monotonic() + 600
headers = {"Authorization": f"Bearer {sys.argv[2]}"}
def call(keeps):
    connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
    stopped = False
    while not stopped:  # checked last, so that each thread sends at least one request
        try:
            connection.request("GET", "/api/me", headers=headers)
            answer = connection.getresponse()
            answer.read()
            (answered if answer.status == 200 else failures).append(answer.status)
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            connection.close()
        if not keeps:
            connection.close()
        stopped = time.monotonic() > end or os.path.exists("/tmp/stop")
threads = [threading.Thread(target=call, args=[n % 2]) for n in range(int(sys.argv[3]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(answered), "requests answered,", len(failures), "failed", failures[:5])
sys.exit(bool(failures or not answered))
'

k() {
    kubectl --namespace "$app" "$@"
}

client() { # client CODE ARGUMENTS: run Python in the client's pod
    kubectl --namespace "$edge" exec client -- python3 -c "$@"
}

closed() { # the same in the pod that must not connect to anything
    kubectl --namespace "$edge" exec closed -- python3 -c "$@"
}

service() { # the same in a pod of the service
    k exec deployment/slipway --container app -- python3 -c "$@"
}

pods() {
    k get pods --selector app.kubernetes.io/component=service \
        --field-selector status.phase=Running --output 'jsonpath={.items[*].metadata.name}'
}

skip() {
    echo "$1"
    exit "$skipped"
}

fail() {
    echo "$1"
    exit 1
}

reaches() { # reaches POD HOST PORT: succeed if the pod can connect
    local status=0
    "$1" "$REACH" "$2" "$3" || status=$?
    case $status in
        0) return 0 ;;
        3) return 1 ;;
        *) fail "The pod $1 could not try to connect to $2:$3." ;;
    esac
}

blocked() {
    ! reaches "$@"
}

no_hole() { # no_hole POD HOST PORT
    retry blocked "$@" || fail "The NetworkPolicies have a hole: $1 can connect to $2:$3."
}

address() { # address POD: print the address of a pod in the client's namespace
    kubectl --namespace "$edge" get pod "$1" --output 'jsonpath={.status.podIP}'
}

retry() { # retry COMMAND: repeat it for ten seconds, while a change spreads through the cluster
    for _ in 1 2 3 4 5; do
        if "$@"; then return; fi
        sleep 2
    done
    return 1
}

wait_ready() {
    k rollout status statefulset/slipway-db --timeout 10m || fail 'The database is not ready.'
    k rollout status deployment/slipway --timeout 10m || fail 'The service is not ready.'
    k wait --for 'jsonpath={.status.readyReplicas}=2' deployment/slipway --timeout 5m \
        || fail 'The service does not have two ready pods.'
}

begin_load() { # begin_load THREADS
    client 'import os; os.path.exists("/tmp/stop") and os.unlink("/tmp/stop")'
    client "$LOAD" "$host" "$(< token.txt)" "$1" > load.txt 2>&1 &
    load=$!
}

end_load() {
    local status=0
    client 'open("/tmp/stop", "w").close()'
    wait "$load" || status=$?
    cat load.txt
    return "$status"
}

all_gets_ready() {
    sed "s/name: slipway/name: $app/" ../namespace.yaml | kubectl apply --filename -
    k apply --kustomize .
    kubectl create namespace "$edge"
    kubectl --namespace "$edge" apply --filename edge.yaml
    wait_ready
    kubectl --namespace "$edge" wait --for condition=Ready pod --all --timeout 5m
    k get all
}

# Only connections between pods are tested: a node's own traffic, such as that of the API server on
# a cluster of one node, is exempt from policies. The pods `client`, `open` and `closed` show first
# what the cluster does: without a policy, connections work; with one that denies all, they don't.
policies_hold() {
    local open closed pod
    open=$(address open)
    closed=$(address closed)
    retry reaches client "$open" 8000 || fail 'Pods cannot connect to each other, even without policies.'
    retry blocked client "$closed" 8000 \
        || skip 'The cluster has no network plug-in that enforces NetworkPolicies.'
    no_hole client "$host" 80  # the client's namespace has no label yet
    no_hole client "slipway-db.$app.svc" 3306
    kubectl label namespace "$edge" network.slipway/edge=true
    retry reaches client "$host" 80 || fail 'The policies block a client with network.slipway/edge=true.'
    no_hole client "slipway-db.$app.svc" 3306
    pod=$(k get pods --selector app.kubernetes.io/component=service \
        --output 'jsonpath={.items[0].status.podIP}')
    no_hole client "$pod" 9100
    retry blocked closed "$open" 8000 \
        || skip 'The network plug-in enforces NetworkPolicies only for incoming connections.'
    no_hole service "$open" 8000
}

token_is_accepted() {
    kubectl label namespace "$edge" network.slipway/edge=true --overwrite
    k exec deployment/slipway --container app -- slipway tokens create smoke > token.txt
    client "$CALL" "$host" "$(< token.txt)"
}

update_loses_no_request() {
    local old pod
    read -ra old <<< "$(pods)"
    begin_load 4
    k rollout restart deployment/slipway
    k rollout status deployment/slipway --timeout 10m
    for pod in "${old[@]}"; do
        k wait --for delete "pod/$pod" --timeout 2m
    done
    end_load
}

migration_ran_again() {
    local pod
    for pod in $(pods); do
        k logs "$pod" --container migrate | tee log.txt
        if grep -q 'Running upgrade' log.txt; then fail 'The schema was migrated once more.'; fi
    done
    [ -s log.txt ] || fail 'The migration has logged nothing.'
}

pod_is_replaced() {
    local old new
    read -ra old <<< "$(pods)"
    k delete pod "${old[0]}" --grace-period 0 --force
    k wait --for delete "pod/${old[0]}" --timeout 2m
    wait_ready
    read -ra new <<< "$(pods)"
    [[ ${#new[@]} -eq 2 && " ${new[*]} " != *" ${old[0]} "* ]] \
        || fail "The pods were ${old[*]} and are ${new[*]}."
}

data_outlives_the_database() {
    k delete pod slipway-db-0
    wait_ready
    retry client "$CALL" "$host" "$(< token.txt)" || fail 'The token is no longer accepted.'
}

evict() { # evict POD
    k create --raw "/api/v1/namespaces/$app/pods/$1/eviction" --filename - <<EOF
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "$app"}}
EOF
}

budget_holds() {
    local old
    k wait --for 'jsonpath={.status.disruptionsAllowed}=1' poddisruptionbudget/slipway --timeout 2m
    read -ra old <<< "$(pods)"
    evict "${old[0]}"
    if evict "${old[1]}" 2> error.txt; then fail 'Both pods could be evicted.'; fi
    cat error.txt
    grep -q 'disruption budget' error.txt || fail 'The second eviction failed for another reason.'
    k wait --for delete "pod/${old[0]}" --timeout 2m
    wait_ready
}

load_makes_more_pods() {
    local wanted=0
    kubectl get --raw /apis/metrics.k8s.io/v1beta1 > /dev/null 2>&1 \
        || skip 'The cluster has no metrics-server.'
    begin_load 16
    for _ in {1..60}; do
        wanted=$(k get horizontalpodautoscaler slipway --output 'jsonpath={.status.desiredReplicas}')
        [ "$wanted" -le 2 ] || break
        sleep 5
    done
    end_load
    k get horizontalpodautoscaler slipway
    [ "$wanted" -gt 2 ] || fail "Under load, the autoscaler wants $wanted pods."
}

check() { # check FUNCTION: run it and print its result; its name says what must be true
    local status result reason
    printf '\n%s\n' "--- ${1//_/ }"
    set +e
    (set -e; "$1") 2>&1 | tee check.txt
    status=${PIPESTATUS[0]}
    set -e
    reason=$(grep -v '^command terminated with exit code' check.txt | tail -n 1 || true)
    case $status in
        0) result="PASSED: ${1//_/ }" ;;
        "$skipped") result="SKIPPED: ${1//_/ }: $reason" ;;
        *) result="FAILED: ${1//_/ }: $reason"; failed=1 ;;
    esac
    echo "$result"
    [ "$status" -eq 0 ] || summary+="$result"$'\n'
}

clean_up() {
    if [ "$failed" -ne 0 ]; then
        k get pods,events || true
        k logs --selector app.kubernetes.io/name=slipway --all-containers --tail 20 || true
    fi
    cd ..
    rm -r "$folder"
    kubectl delete namespace "$app" "$edge" --ignore-not-found --timeout 5m || true
    printf '\n%s' "$summary"
}

checks=(
    policies_hold
    token_is_accepted  # the next checks need its token
    update_loses_no_request
    migration_ran_again
    pod_is_replaced
    data_outlives_the_database
    budget_holds
    load_makes_more_pods
)
for each in "$@"; do
    [[ " ${checks[*]} " = *" $each "* ]] \
        || { echo "$each is none of the checks: ${checks[*]}" >&2; exit 2; }
done
if [ $# -eq 0 ]; then set -- "${checks[@]}"; fi
[ -d local/secrets ] || { echo 'Run make kubernetes-secrets first.' >&2; exit 2; }
kubectl get --raw /readyz > /dev/null \
    || { echo 'No cluster answers. Check the current context of kubectl.' >&2; exit 2; }

# The folder is beside local, because Kustomize accepts only relative paths.
folder=$(mktemp -d ./.smoke.XXXXXX)
cd "$folder"
trap clean_up EXIT
cat > kustomization.yaml <<EOF
namespace: $app
resources: [../local]
images:
  - {name: slipway, newName: $IMAGE, newTag: "$TAG"}
EOF
# Three pods that listen on port 8000. Nothing can connect to `closed`, and `closed` to nothing.
for name in client open closed; do
    cat <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $name, labels: {name: $name}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: python
      image: $IMAGE:$TAG
      imagePullPolicy: IfNotPresent
      command:
        - python3
        - -c
        - "import socket, time; server = socket.create_server(('', 8000)); time.sleep(86400)"
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
---
EOF
done > edge.yaml
cat >> edge.yaml <<EOF
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec:
  podSelector: {matchLabels: {name: closed}}
  policyTypes: [Ingress, Egress]
EOF

kubectl version
check all_gets_ready
if [ "$failed" -eq 0 ]; then  # all other checks would fail too
    for each in "$@"; do check "$each"; done
fi
exit "$failed"
