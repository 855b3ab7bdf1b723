# A receiver by Rack. It notes what it was sent, once it has all of it. To /early it answers before it reads.
run(lambda do |env|
  next [401, { "content-length" => "2" }, ["no"]] if env["PATH_INFO"] == "/early"

  body = env["rack.input"].read
  File.open(ENV.fetch("ALOT_LOG"), "a") { |log| log.syswrite("#{env["HTTP_X_ALOT_DELIVERY"] || "-"} #{body.bytesize}\n") }
  [204, {}, []]
end)
