-- Makes the requests of wrk, and prints the totals as JSON. Arguments: a method, a file with
-- a path in each line, and optionally a token. A POST creates a link, with a new Idempotency-Key.
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  method, requests, sent = args[1], {}, 0
  wrk.headers["Authorization"] = args[3] and "Bearer " .. args[3]
  for path in io.lines(args[2]) do
    table.insert(requests, method == "GET" and wrk.format("GET", path) or path)
  end
  first, run = number * 7919, os.time() .. "-" .. tostring(requests):sub(8)
  if method == "POST" then
    wrk.headers["Content-Type"] = "application/json"
  end
end

function request()
  sent = sent + 1
  local request = requests[(first + sent) % #requests + 1]
  if method == "GET" then
    return request
  end
  wrk.headers["Idempotency-Key"] = run .. "-" .. number .. "-" .. sent
  return wrk.format("POST", request, nil, '{"url": "https://example.com/' .. sent .. '"}')
end

function done(summary, latency)
  local errors, failed = summary.errors, 0
  for _, kind in ipairs({ "connect", "read", "write", "timeout" }) do
    failed = failed + errors[kind]
  end
  io.write(string.format(
    '\n{"answered": %d, "failed": %d, "seconds": %f, "p50": %f, "p99": %f}\n',
    summary.requests - errors.status, failed + errors.status, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
