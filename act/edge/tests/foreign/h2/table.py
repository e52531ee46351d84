"""The cases: each named after the section that says how it has to come out."""

from talk import Talk

CASES = []


class Case:
    """What is asked for, and what says what came of a connection; `because` says why it is something else."""

    def __init__(self, section, name, want, run, because=None):
        self.section, self.name, self.want, self.run, self.because = section, name, want, run, because


def case(section, name, want, settings=None, greets=True, because=None):
    """A case by its function, which gets a connection, after the greeting if it greets."""

    def add(run):
        begun = lambda talk: run(talk.begin(settings) if greets else talk)
        CASES.append(Case(section, name, want, begun, because))

    return add


def sent(section, name, want, frames, stream=None, because=None):
    """A case of frames alone, and what becomes of a stream or of the connection."""

    def run(talk):
        talk.send(*(frames(talk) if callable(frames) else frames))
        return talk.outcome(stream)

    case(section, name, want, because=because)(run)


def fits(want, came):
    """Whether what came is what the standard asks for, or lets a server do instead."""
    for one in want.split(" or "):
        if one == came:
            return True
        if one == "malformed":
            # RFC 9113, 8.1.1: a stream error, and before it a 400 where that is possible.
            if came in ("400", "stream error PROTOCOL_ERROR", "connection error PROTOCOL_ERROR"):
                return True
        if one.startswith("stream error"):
            # 5.4.1: a stream's error may be treated as the connection's.
            if came in (one.replace("stream", "connection"), "closed"):
                return True
        if one.startswith("connection error") and came == "closed":
            # 5.4.1: it should say GOAWAY first.
            return True
    return False


def run_all(cases, address):
    told = []
    for each in cases:
        talk = Talk(address)
        try:
            came = each.run(talk)
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
        talk.close()
        whether = fits(each.want, came)
        told.append(
            dict(
                section=each.section,
                name=each.name,
                want=each.want,
                came=came,
                fits=whether,
                because=each.because,
            )
        )
    return told
