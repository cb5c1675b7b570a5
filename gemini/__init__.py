"""Gemini API: everything that knows Google's service; importing the package loads no SDK.

- ``client``: sends one request to the live service and returns its answer.
- ``simulated``: the model of a dry run, inside this process.
- ``model_info``: what the name of a model says about it.
- ``generation_config``: the ``generationConfig`` of a request.
- ``request_body``, ``response_body``: bodies on the wire, with big images in pieces.
- ``response_parser``: a reply with status 200 becomes an answer or a failure.
- ``error_mapping``: any other reply becomes a failure or the end of the run.
- ``retry_after``: how long the service asks the client to wait.
- ``refusal_detection``: answers that decline the task.
- ``transport``: the HTTP session, its proxy and certificates, and broken connections.
- ``sdk``, ``files_api``: the SDK, loaded late, for images that are too big for one request.
- ``text``: words of the service, made safe to print and store.
"""

API_VERSION = "v1beta"
"""The SDK's default, v1, lacks features that this program uses. Source: docs/api-facts.md, section 1.1."""
