"""Gemini API: everything that knows Google's service; importing the package loads no SDK.

- ``client``: sends one request to the live service and returns its answer.
- ``simulated``: the model of a dry run, inside this process.
- ``model_info``: what the name of a model says about it.
- ``generation_config``: the ``generationConfig`` of a request.
- ``request_body``, ``response_body``: bodies on the wire, with big images in pieces.
- ``response_parser``: a reply with status 200 becomes an answer or a failure.
- ``response_stream``: a reply in chunks becomes one reply.
- ``response_pictures``: pictures are unwrapped, and looked at before they count.
- ``repetition``: answers that repeat themselves without end.
- ``error_mapping``: any other reply becomes a failure or the end of the run.
- ``error_body``, ``error_causes``: what an error says, wherever it stands, and where the fault lies.
- ``retry_after``: how long the service asks the client to wait.
- ``refusal_detection``: answers that decline the task.
- ``route``, ``transport``: the way to the service, the HTTP session, and broken connections.
- ``sdk``, ``files_api``: the SDK, loaded late, for images that are too big for one request.
- ``fields``: members of any JSON by name and type.
- ``text``: words of the service, made safe to print and store.
"""

API_VERSION = "v1beta"
"""The SDK's default, v1, lacks features that this program uses. Source: docs/api-facts.md, section 1.1."""
