-- Takes away what leads out of a program or into the engine, and gives back what handles its errors.
-- It is on the program's side of the wall: a program may change all of this, and only harms its own result.
local load, loadfile, pcall, tostring, type = load, loadfile, pcall, tostring, type
local traceback = debug.traceback

-- Compiled code can crash the engine.
local function loadtext(chunk, name, mode, ...)
  return load(chunk, name, "t", ...)
end
local function loadfiletext(name, mode, ...)
  return loadfile(name, "t", ...)
end
_G.load = loadtext
_G.loadfile = loadfiletext
_G.dofile = function(name)
  return assert(loadfiletext(name))()
end
string.dump = nil

os.execute = nil
os.setlocale = nil
os.getenv = function() return nil end
io.popen = nil
package.loadlib = nil
package.cpath = ""
package.path = "./?.lua;./?/init.lua"
package.searchers[4] = nil
package.searchers[3] = nil
for name in pairs(debug) do
  if name ~= "traceback" then debug[name] = nil end
end
io.stdout:setvbuf("no")

local trace = ""

local function remember(problem)
  trace = traceback(nil, 2)
  return problem
end

local function describe(problem)
  local text = problem
  if type(problem) ~= "string" then
    local shown, result = pcall(tostring, problem)
    text = shown and result or "(error object is a " .. type(problem) .. " value)"
  end
  return text .. "\0" .. trace
end

return remember, describe
