"""An HTTP door that speaks OpenAI's protocol, over the residency pool: `ullage serve FILE`.

In: a plan of kind `serve`, an address, limits. Out: answers, each from a role that was lent for it. It never
plans, never loads by itself, and schedules nothing: who is served next is the pool's to say.

    lending   the plan's roles in a pool      asked      what a body may say
    desk      requests for one role, collated answered   what is said back
    guard     who may come in at all          refusal    errors in OpenAI's form
    spoken    a chat while it is answered     choice     replies that are to be calls
    whole     requests for all roles at once  server     from a plan to a socket, and its end
    routes    the door's paths, of which
              `completions` and `responses` are chats
"""
