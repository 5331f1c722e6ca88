"""The decision of `runtime.ratelimit.meters` as Redis runs it: one script, atomic, for all hits and limits of a call.

    KEYS     for each ask, a key per limit
    ARGV[1]  the time (seconds, us), or nothing: the server's own
    ARGV[2]  hit, peek or refund
    ARGV[3]  the limits' algorithms, a letter each
    ARGV[4]  two constants per limit
    ARGV[5]  and further: an ask: cost, when it was decided (seconds, us), then two amounts per limit
    answer   the time; for each ask: 1 when it fits, else 0, and a summary per limit

Numbers are doubles, little-endian, and whole: a time in ns and parts of it would not fit into one, so GCRA keeps
seconds and parts of a second apart and carries. A key goes when it says no more than a fresh one, and a margin later:
if the server's clock is set back meanwhile, it is still there.
"""

from hashlib import sha1

_HEAD = """
local MARGIN_MS = 10000
local now_s, now_us
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now_s, now_us = tonumber(time[1]), tonumber(time[2])
else
  now_s, now_us = struct.unpack('<dd', ARGV[1])
end
local now = now_s * 1000000 + now_us
local kinds = {}
local function write(key, packed, keep_ms)
  redis.call('SET', key, packed, 'PX', string.format('%.0f', math.ceil(keep_ms) + MARGIN_MS))
end
"""

_GCRA = """
local SECOND = 1048576e9
local now_part = now_us * 1048576000
local function plus(a_s, a_part, b_s, b_part)
  local s, part = a_s + b_s, a_part + b_part
  if part >= SECOND then return s + 1, part - SECOND end
  return s, part
end
local function is_later(a_s, a_part, b_s, b_part)
  return a_s > b_s or (a_s == b_s and a_part > b_part)
end
local function write_tat(key, s, part)
  local ahead_ms = (s - now_s) * 1000 + (part - now_part) / 1048576e6
  if ahead_ms <= 0 then redis.call('DEL', key) else write(key, struct.pack('<dd', s, part), ahead_ms) end
end
kinds.g = {
  look = function(key, full_s, full_part, cost, add_s, add_part)
    local raw = redis.call('GET', key)
    local s, part, last_s, last_part = now_s, now_part, plus(now_s, now_part, full_s, full_part)
    if raw then
      s, part = struct.unpack('<dd', raw)
      if is_later(s, part, last_s, last_part) then
        s, part = last_s, last_part
        write_tat(key, s, part)
      elseif is_later(now_s, now_part, s, part) then
        s, part = now_s, now_part
      end
    end
    local to_s, to_part = plus(s, part, add_s, add_part)
    return {key = key, s = s, part = part, to_s = to_s, to_part = to_part, add_s = add_s, add_part = add_part,
            fits = not is_later(to_s, to_part, last_s, last_part)}
  end,
  take = function(state)
    state.s, state.part = state.to_s, state.to_part
    write_tat(state.key, state.s, state.part)
  end,
  give = function(state, cost, at_s, at_us)
    local back_s, back_part = plus(state.add_s, state.add_part, at_s - now_s, (at_us - now_us) * 1048576000)
    if back_part < 0 then back_s, back_part = back_s - 1, back_part + SECOND end
    if back_s < 0 or (back_s == 0 and back_part == 0) then return end
    state.s, state.part = plus(state.s, state.part, -back_s, -back_part)
    if state.part < 0 then state.s, state.part = state.s - 1, state.part + SECOND end
    write_tat(state.key, state.s, state.part)
  end,
  show = function(state) return struct.pack('<dd', state.s, state.part) end,
}
"""

_SLIDING = """
local COUNTED = 11
local CUTS = '<d' .. string.rep('I4', COUNTED)
local function write_cuts(state)
  write(state.key, struct.pack(CUTS, state.cut, unpack(state.counts)), state.cut_us * COUNTED / 1000)
end
kinds.s = {
  look = function(key, cut_us, quota, cost)
    local raw = redis.call('GET', key)
    local cut = (now - now % cut_us) / cut_us
    local counts, sum = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0
    if raw then
      local there = {struct.unpack(CUTS, raw)}
      local shift = math.max(0, cut - there[1])
      for place = 1, COUNTED - shift do
        counts[place + shift] = there[place + 1]
        sum = sum + there[place + 1]
      end
    end
    local state = {key = key, cut = cut, cut_us = cut_us, counts = counts, fits = sum + cost <= quota}
    if raw and struct.unpack('<d', raw) > cut then write_cuts(state) end
    return state
  end,
  take = function(state, cost)
    state.counts[1] = state.counts[1] + cost
    write_cuts(state)
  end,
  give = function(state, cost, at_s, at_us)
    local at = at_s * 1000000 + at_us
    local place = state.cut - (at - at % state.cut_us) / state.cut_us + 1
    if place >= 1 and place <= COUNTED then
      state.counts[place] = math.max(0, state.counts[place] - cost)
      write_cuts(state)
    end
  end,
  show = function(state) return struct.pack(CUTS, state.cut, unpack(state.counts)) end,
}
"""

# A list: the total, then the hits from the oldest to the newest, each as time and units.
_LOG = """
local CHUNK = 100
local function each_hit(key, visit)
  local first = 1
  while true do
    local hits = redis.call('LRANGE', key, first, first + CHUNK - 1)
    for place, hit in ipairs(hits) do
      local at, units = struct.unpack('<dd', hit)
      if visit(at, units, first + place - 1) then return end
    end
    if #hits < CHUNK then return end
    first = first + CHUNK
  end
end
local function set_back(key)
  local hits = redis.call('LRANGE', key, 1, -1)
  for place, hit in ipairs(hits) do
    local at, units = struct.unpack('<dd', hit)
    if at > now then redis.call('LSET', key, place, struct.pack('<dd', now, units)) end
  end
end
local function keep_log(key, period_us)
  redis.call('PEXPIRE', key, string.format('%.0f', math.ceil(period_us / 1000) + MARGIN_MS))
end
kinds.l = {
  look = function(key, period_us, quota, cost)
    local total, over = tonumber(redis.call('LINDEX', key, 0) or '0'), 0
    if total > 0 then
      each_hit(key, function(at, units, place)
        if now - at <= period_us then return true end
        total, over = total - units, place
      end)
      if over > 0 and total > 0 then
        redis.call('LTRIM', key, over, -1)
        redis.call('LSET', key, 0, string.format('%.0f', total))
      elseif over > 0 then
        redis.call('DEL', key)
      end
      if total > 0 and (struct.unpack('<dd', redis.call('LINDEX', key, -1))) > now then
        set_back(key)
        keep_log(key, period_us)
      end
    end
    return {key = key, total = total, period_us = period_us, short = total + cost - quota, cost = cost,
            fits = total + cost <= quota}
  end,
  take = function(state, cost)
    if state.total == 0 then
      redis.call('DEL', state.key)
      redis.call('RPUSH', state.key, string.format('%.0f', cost), struct.pack('<dd', now, cost))
    else
      redis.call('LSET', state.key, 0, string.format('%.0f', state.total + cost))
      redis.call('RPUSH', state.key, struct.pack('<dd', now, cost))
    end
    state.total, state.short = state.total + cost, state.short + cost
    keep_log(state.key, state.period_us)
  end,
  give = function(state, cost, at_s, at_us)
    if state.total == 0 then return end
    local at, place = at_s * 1000000 + at_us, -1
    while cost > 0 and state.total > 0 and -place < redis.call('LLEN', state.key) do
      local there, units = struct.unpack('<dd', redis.call('LINDEX', state.key, place))
      if there < at then return end
      if there == at then
        local back = math.min(cost, units)
        if back < units then
          redis.call('LSET', state.key, place, struct.pack('<dd', at, units - back))
        else
          redis.call('LSET', state.key, place, '')
          redis.call('LREM', state.key, -1, '')
          place = place + 1
        end
        cost, state.total = cost - back, state.total - back
        redis.call('LSET', state.key, 0, string.format('%.0f', state.total))
      end
      place = place - 1
    end
    if state.total == 0 then redis.call('DEL', state.key) end
  end,
  show = function(state)
    if state.total == 0 then return struct.pack('<dddd', 0, 0, 0, 0) end
    local short, fit = state.short, 0
    if short > 0 then
      each_hit(state.key, function(at, units)
        if short <= 0 then return true end
        short, fit = short - units, at
      end)
    end
    local oldest = struct.unpack('<dd', redis.call('LINDEX', state.key, 1))
    local newest = struct.unpack('<dd', redis.call('LINDEX', state.key, -1))
    return struct.pack('<dddd', state.total, oldest, newest, fit)
  end,
}
"""

_TAIL = """
local verb, count, limits = ARGV[2], #ARGV[3], {}
for place = 1, count do
  local a, b = struct.unpack('<dd', ARGV[4], place * 16 - 15)
  limits[place] = {kinds[string.sub(ARGV[3], place, place)], a, b}
end
local answer = {struct.pack('<dd', now_s, now_us)}
for place = 5, #ARGV do
  local ask, states, fits = ARGV[place], {}, true
  local cost, at_s, at_us = struct.unpack('<ddd', ask)
  for each = 1, count do
    local limit, a, b = limits[each], struct.unpack('<dd', ask, 9 + each * 16)
    states[each] = limit[1].look(KEYS[(place - 5) * count + each], limit[2], limit[3], cost, a, b)
    fits = fits and states[each].fits
  end
  answer[#answer + 1] = fits and '\\1' or '\\0'
  for each = 1, count do
    local kind = limits[each][1]
    if verb == 'refund' then
      kind.give(states[each], cost, at_s, at_us)
    elseif verb == 'hit' and fits then
      kind.take(states[each], cost)
    end
    answer[#answer + 1] = kind.show(states[each])
  end
end
return table.concat(answer)
"""

# Hits and looks at one limit by GCRA, which is what most scripts are run for: the same, without tables and closures.
_ONE_GCRA = """
local now_s, now_us
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now_s, now_us = tonumber(time[1]), tonumber(time[2])
else
  now_s, now_us = struct.unpack('<dd', ARGV[1])
end
local SECOND, MARGIN_MS = 1048576e9, 10000
local now_part, is_hit = now_us * 1048576000, ARGV[2] == 'hit'
local full_s, full_part = struct.unpack('<dd', ARGV[4])
local last_s, last_part = now_s + full_s, now_part + full_part
if last_part >= SECOND then last_s, last_part = last_s + 1, last_part - SECOND end
local answer = {struct.pack('<dd', now_s, now_us)}
for place = 5, #ARGV do
  local key, raw = KEYS[place - 4], redis.call('GET', KEYS[place - 4])
  local add_s, add_part = struct.unpack('<dd', ARGV[place], 25)
  local s, part, has_changed = now_s, now_part, false
  if raw then
    local there_s, there_part = struct.unpack('<dd', raw)
    if there_s > last_s or (there_s == last_s and there_part > last_part) then
      s, part, has_changed = last_s, last_part, true
    elseif there_s > now_s or (there_s == now_s and there_part > now_part) then
      s, part = there_s, there_part
    end
  end
  local to_s, to_part = s + add_s, part + add_part
  if to_part >= SECOND then to_s, to_part = to_s + 1, to_part - SECOND end
  local fits = to_s < last_s or (to_s == last_s and to_part <= last_part)
  if fits and is_hit then s, part, has_changed = to_s, to_part, true end
  local packed = struct.pack('<dd', s, part)
  if has_changed then
    local ahead_ms = (s - now_s) * 1000 + (part - now_part) / 1048576e6
    redis.call('SET', key, packed, 'PX', math.ceil(ahead_ms) + MARGIN_MS)
  end
  answer[#answer + 1] = fits and '\\1' or '\\0'
  answer[#answer + 1] = packed
end
return table.concat(answer)
"""

_PIECES = {"g": _GCRA, "s": _SLIDING, "l": _LOG}


def script(letters: str, verb: str) -> tuple[bytes, bytes]:
    """The script for these algorithms, with no others in it, and its name in the server."""
    pieces = "".join(piece for letter, piece in _PIECES.items() if letter in letters)
    text = (_ONE_GCRA if letters == "g" and verb != "refund" else _HEAD + pieces + _TAIL).encode()
    return text, sha1(text, usedforsecurity=False).hexdigest().encode()
