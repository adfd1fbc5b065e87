"""How commands, events, states and replies are stored: exactly, or not at all."""

from ._codec import Codec as Codec
from ._codec import Encoded as Encoded
from ._codec import StoredName as StoredName
from ._fingerprint import Drift as Drift
from ._fingerprint import Fingerprint as Fingerprint
from ._fingerprint import find_drift as find_drift
from ._replies import reply_type as reply_type
