-- After epoch.lua: what the stream, KEYS[2], says since a position. See invalidate.lua for what an entry covers.

-- The parts of the contact that are covered, and 1 if the alias is: by a purge of the contact, or by itself.
local function entries_since(position, most, contact, alias, parts)
  local all = bit.lshift(1, parts) - 1
  local entries = redis.call('XRANGE', KEYS[2], position, '+', 'COUNT', most + 2)
  if not entries[1] or entries[1][1] ~= position or #entries > most + 1 then
    return all, 1
  end
  local covered, is_alias_covered = 0, 0
  for index = 2, #entries do
    local fields, previous = entries[index][2], nil
    for place = 1, #fields, 2 do
      local field, records = fields[place], fields[place + 1]
      if field == 'p' then
        previous = records
      elseif field == 'c' then
        for record = 1, #records, 17 do
          local name, bits = string.sub(records, record, record + 15), string.byte(records, record + 16)
          if bits == 0x40 then
            if name == alias then
              is_alias_covered = 1
            end
          elseif name == contact then
            if bits >= 0x80 then
              covered, is_alias_covered = all, 1
            else
              covered = bit.bor(covered, bits)
            end
          end
        end
      end
    end
    if previous ~= entries[index - 1][1] then
      return all, 1
    end
  end
  return covered, is_alias_covered
end
