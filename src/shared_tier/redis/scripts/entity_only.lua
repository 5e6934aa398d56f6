-- After epoch.lua. KEYS[3] has the marks: until when only the entity endpoint may fill a part. A sorted set of the
-- part's number before the contact's name, by the mark's end, and of the member `begun`.
--
-- Marks are not kept with the contact, because what is evicted with it can't be missed. The epoch knows when the last
-- mark ends (marked_until): if the set is missing before that, it was evicted, and any part of any contact may have
-- been marked; when a new set begins, the epoch remembers until when that is so (unsure_until). A new epoch knows no
-- marks of the one before, in which contacts had other names; each replica has those in its memory.

local marked_until = tonumber(epoch[4] or '0')
local unsure_until = tonumber(epoch[5] or '0')

-- The ends of a contact's marks for so many parts, 0 where there is none; `markable` has a bit for each part that can
-- have one.
local function entity_only_ends(name, parts, markable)
  local members = {}
  for part = 0, parts - 1 do
    members[#members + 1] = part .. name
  end
  local scores = redis.call('ZMSCORE', KEYS[3], 'begun', unpack(members))
  local unsure = unsure_until
  if not scores[1] then
    unsure = math.max(unsure, marked_until)
  end
  local ends = {}
  for part = 0, parts - 1 do
    local till = tonumber(scores[part + 2] or '0')
    if bit.band(markable, bit.lshift(1, part)) ~= 0 then
      till = math.max(till, unsure)
    end
    ends[part] = till > now and till or 0
  end
  return ends
end

local has_begun = false

-- Marks parts of a contact (bits, some), or extends their marks.
local function mark_entity_only(name, bits, till)
  if not has_begun and not redis.call('ZSCORE', KEYS[3], 'begun') then
    if marked_until > now then
      unsure_until = math.max(unsure_until, marked_until)
      redis.call('HSET', KEYS[1], 'unsure_until', string.format('%.0f', unsure_until))
    end
    redis.call('ZADD', KEYS[3], '+inf', 'begun')
  end
  has_begun = true
  local score, marks = string.format('%.0f', till), {}
  for part = 0, 5 do
    if bit.band(bits, bit.lshift(1, part)) ~= 0 then
      marks[#marks + 1] = score
      marks[#marks + 1] = part .. name
    end
  end
  redis.call('ZADD', KEYS[3], 'GT', unpack(marks))
  if till > marked_until then
    marked_until = till
    redis.call('HSET', KEYS[1], 'marked_until', string.format('%.0f', till))
  end
end

-- Removes the marks that have ended.
local function prune_marks()
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[3], KEEP)
end
