-- A value, in a field p0, p1 … (by the part's number) of a contact's hash or in v of an alias's: `REQUESTED LIFETIME `
-- in milliseconds, then the sealed bytes. What does not begin so is as good as missing.

local function requested_at(value)
  return tonumber(string.match(value, '^(%d+) %d+ ') or '0')
end

-- Whether a value is fresh and younger than `max_age`.
local function is_usable(value, max_age)
  local requested, lifetime = string.match(value, '^(%d+) (%d+) ')
  if not requested then
    return false
  end
  local age = math.max(now - requested, 0)
  return age < tonumber(lifetime) and age < max_age
end
