#!lua flags=allow-oom
-- Ends a narration that nobody wants any more. Allowed on a full server: it is the way to free memory.
--
-- KEYS  the narration's keys (prelude.lua)
-- ARGV  retention (prelude.lua)
-- Returns the state after the call, or nil if there is no record. A final state stays as it is.

if is_open() then
  log('cancelled')
  end_narration('cancelled', ARGV[1], '', '', '')
end
return state
