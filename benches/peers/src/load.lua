-- What wrk sends. Its arguments after "--": the kind, the questions' file, the order's file, and for misses the first number.
local requests, order, at = {}, {}, 0
local kind, template

function init(args)
  kind = args[1]
  local headers = { ["X-Api-Key"] = "test-shop-key", ["Host"] = "localhost", ["User-Agent"] = "shop/1.0", ["Accept"] = "application/json" }
  if kind == "miss" then
    template = wrk.format("GET", "/customer?email=customer.NUMBER%40example.com&parts=none", headers)
    template = template:gsub("%%", "%%%%"):gsub("NUMBER", "%%07d")
    at = tonumber(args[4])
    return
  end
  if kind == "gzip" then headers["Accept-Encoding"] = "gzip" end
  for line in io.lines(args[2]) do
    local query, tag = line:match("^(%S+)\t(.+)$")
    if kind == "not-modified" then headers["If-None-Match"] = tag end
    requests[#requests + 1] = wrk.format("GET", "/customer?" .. query, headers)
  end
  for number in io.lines(args[3]) do order[#order + 1] = tonumber(number) end
  at = math.random(#order)
end

function request()
  at = at + 1
  if kind == "miss" then return template:format(at) end
  return requests[order[at % #order + 1]]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("@ %d %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99)))
end
