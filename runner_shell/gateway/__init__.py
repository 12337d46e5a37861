"""What a runner dials: a library, and a server for development.

Here lies what others import, in the rooms what it is made of:

* `core`: everything a gateway does, without a web framework; it joins what lies in `sessions`, and
  below that in `runner` (the side of one that is connected), with `tokens` and `access` (who may do
  what) and `quotas` (how much of it); `errors` is what it says no to, `logs` where its lines go
* `store`: the seam to what is kept; `sqlite` is the store that comes along, made of `embedded`
* with the extra `gateway`: `app` serves HTTP and WebSocket by what lies in `web`, `server` runs it,
  and `direct` has uvicorn hand frames over without the layers between
"""
