//! What the page says, in English and in Korean.

use naru_model::{PowerState, Sleep, Span, Wake, Want};
use naru_who::{Asked, RequestState, Resource, Right, Ruling};

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    En,
    Ko,
}

impl Lang {
    /// As HTML and cookies name it.
    pub fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Ko => "ko",
        }
    }

    pub fn of(code: &str) -> Option<Lang> {
        [Lang::En, Lang::Ko].into_iter().find(|lang| lang.code() == code)
    }

    /// By what a browser says it prefers: the first that the page has.
    pub fn preferred(accepted: &str) -> Lang {
        let mut wished: Vec<(u32, Lang)> = vec![];
        for one in accepted.split(',').take(20) {
            let mut parts = one.trim().split(';');
            let tag = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok());
            let code = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            if let Some(lang) = Lang::of(&code) {
                wished.push(((quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32, lang));
            }
        }
        let best = wished.iter().map(|(quality, _)| *quality).max();
        wished.iter().find(|(quality, _)| Some(*quality) == best).map_or(Lang::En, |(_, lang)| *lang)
    }
}

/// The same in both languages.
#[derive(Clone, Copy)]
pub struct Phrase(&'static str, &'static str);

impl Phrase {
    pub fn in_(self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.0,
            Lang::Ko => self.1,
        }
    }
}

macro_rules! phrases {
    ($($name:ident = $en:literal, $ko:literal;)+) => { $(pub const $name: Phrase = Phrase($en, $ko);)+ };
}

phrases! {
    SIGN_IN = "Sign in", "로그인";
    SIGN_OUT = "Sign out", "로그아웃";
    NAME = "Name", "이름";
    PASSWORD = "Password", "비밀번호";
    SERVICES = "Services", "서비스";
    REQUESTS = "Requests", "요청";
    SKIP = "Skip to content", "본문으로 건너뛰기";
    NOTHING_SEEN = "There is nothing here that you may see yet.", "아직 볼 수 있는 서비스가 없습니다.";
    NOTHING_SEEN_MORE = "Ask for the service that you need, by its name:", "필요한 서비스의 이름으로 요청하세요:";
    STACK = "Stack", "스택";
    SERVICE = "Service", "서비스";
    TURN_ON = "Turn on", "켜기";
    KEEP_ON = "Keep on", "계속 켜 두기";
    FOR_HOW_LONG = "For how long", "사용 시간";
    REQUEST = "Request", "요청하기";
    REQUEST_IT = "You may not turn this on yourself. Say why, and somebody who may decides.",
        "직접 켤 수 있는 권한이 없습니다. 이유를 적어 요청하면 담당자가 결정합니다.";
    REASON = "Reason", "이유";
    REASON_HINT = "What you need it for", "어디에 필요한지 적어 주세요";
    OPEN = "Open", "열기";
    DETAILS = "Details", "자세히";
    BACK = "All services", "전체 서비스";
    ALL_REQUESTS = "All requests", "전체 요청";
    NOW_ON = "On now", "지금 켜져 있는 이유";
    NOW_OFF = "Asleep now", "지금 꺼져 있는 이유";
    USED_BY = "Who uses it", "사용 현황";
    NOBODY = "Nobody at the moment", "지금은 사용하는 사람이 없습니다";
    NEXT = "Next", "다음 변경";
    ALWAYS_ON = "always on", "항상 켜짐";
    STARTING = "starting", "시작 중";
    STOPPED = "stopped", "중지됨";
    WAITS = "This page looks again by itself.", "이 페이지는 자동으로 새로 고쳐집니다.";
    NOT_BY_PERSON = "It is woken by requests only.", "요청이 들어오면 자동으로 켜집니다.";
    TO_DECIDE = "Waiting for your decision", "결정을 기다리는 요청";
    YOURS = "Yours", "내 요청";
    OTHERS = "Decided", "결정된 요청";
    NO_REQUESTS = "There are no requests.", "요청이 없습니다.";
    APPROVE = "Approve", "승인";
    DENY = "Deny", "거절";
    WITHDRAW = "Take back", "요청 취소";
    REVOKE = "Revoke", "승인 취소";
    WHY_NOT = "Reason for the answer", "답변 이유";
    WAITING = "Waiting for somebody to decide", "담당자의 결정을 기다리고 있습니다";
    WORKING = "in progress", "진행 중";
    WRONG = "That did not work", "처리하지 못했습니다";
    NOT_FOUND = "There is nothing at this address", "이 주소에는 아무것도 없습니다";
    NOT_YOURS = "This form was not sent by this page, or is too old. Load the page anew.",
        "이 페이지에서 보낸 양식이 아니거나 너무 오래되었습니다. 페이지를 다시 불러오세요.";
    GO_BACK = "Back to the services", "서비스로 돌아가기";
}

/// A service's state.
pub fn state(lang: Lang, state: PowerState) -> &'static str {
    match state {
        PowerState::On => Phrase("on", "켜짐"),
        PowerState::Waking => Phrase("waking", "켜지는 중"),
        PowerState::FallingAsleep => Phrase("falling asleep", "꺼지는 중"),
        PowerState::Asleep => Phrase("asleep", "꺼짐"),
    }
    .in_(lang)
}

/// A request's state.
pub fn request_state(lang: Lang, state: RequestState) -> &'static str {
    let ko = match state {
        RequestState::Open => "대기 중",
        RequestState::Approved => "승인됨",
        RequestState::InUse => "사용 중",
        RequestState::Done => "완료",
        RequestState::Denied => "거절됨",
        RequestState::Withdrawn => "취소됨",
        RequestState::Revoked => "승인 취소됨",
        RequestState::Lapsed => "기한 만료",
    };
    Phrase(state.word(), ko).in_(lang)
}

/// `approved by lee`.
pub fn ruling(lang: Lang, what: Ruling, by: &str) -> String {
    let ko = match what {
        Ruling::Approved => "승인",
        Ruling::Denied => "거절",
        Ruling::Withdrawn => "취소",
        Ruling::Revoked => "승인 취소",
    };
    match lang {
        Lang::En => format!("{} by {by}", what.word()),
        Lang::Ko => format!("{by} 님이 {ko}"),
    }
}

/// A reason for which a service is on, or asleep: in English the words of `naru power`.
pub fn want(lang: Lang, want: &Want) -> String {
    if lang == Lang::En {
        return want.to_string();
    }
    let why = |reason: &Option<String>| reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    match want {
        Want::Hours { .. } => "운영 시간입니다".into(),
        Want::Wake(Wake { owner, reason, .. }) => format!("{owner} 님이 켰습니다{}", why(reason)),
        Want::Requests { waiting } => format!("요청 {waiting}건이 기다리고 있습니다"),
        Want::Use { until: None } => "사용 중입니다".into(),
        Want::Use { until: Some(_) } => "최근에 사용했습니다".into(),
        Want::Dependant { service } => format!("{service} 서비스가 필요로 합니다"),
        Want::Run { job, run } => format!("작업 {job}의 {run}번째 실행이 필요로 합니다"),
        Want::Operation { id } => format!("작업 {id}번이 진행 중입니다"),
        Want::Unknown => "아직 상태를 확인하지 못했습니다".into(),
        Want::OffHours { .. } => "운영 시간이 아닙니다".into(),
        Want::Idle { after } => format!("{} 동안 사용하지 않았습니다", span(lang, *after)),
        Want::Sleep { order: Sleep { owner, reason, .. }, .. } => {
            format!("{owner} 님이 껐습니다{}", why(reason))
        }
    }
}

/// What is asked for: in English as it is typed.
pub fn asked(lang: Lang, asked: &Asked) -> String {
    let (right, on) = asked.takes();
    if lang == Lang::En || right != Right::Wake {
        return asked.to_string();
    }
    let short = |on: &Resource| match on {
        Resource::Service(stack, service) => format!("{stack}/{service}"),
        Resource::Stack(stack) => stack.to_string(),
        other => other.to_string(),
    };
    let names: Vec<String> = on.iter().map(short).collect();
    let time = asked.lasts().map(|lasts| format!(", {}", span(lang, lasts))).unwrap_or_default();
    format!("{} 켜기{time}", names.join(", "))
}

/// `2 h 30 min`, `2시간 30분`.
pub fn span(lang: Lang, span: Span) -> String {
    let minutes = span.0.div_ceil(60_000);
    let parts =
        [(minutes / 1440, " d", "일"), (minutes / 60 % 24, " h", "시간"), (minutes % 60, " min", "분")];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, en, ko)| format!("{count}{}", Phrase(en, ko).in_(lang)))
        .collect();
    if said.is_empty() { Phrase("0 min", "0분").in_(lang).into() } else { said.join(" ") }
}

/// `until 22:00`.
pub fn until(lang: Lang, at: &str) -> String {
    match lang {
        Lang::En => format!("until {at}"),
        Lang::Ko => format!("{at}까지"),
    }
}

/// `for another 2 h`.
pub fn left(lang: Lang, left: Span) -> String {
    match lang {
        Lang::En => format!("{} left", span(lang, left)),
        Lang::Ko => format!("{} 남음", span(lang, left)),
    }
}

/// `3 requests in progress`: how much of each kind of work.
pub fn work(lang: Lang, kind: &str, count: u64) -> String {
    let (en, ko) = match (kind, count) {
        ("requests", 1) => ("request", "요청"),
        ("requests", _) => ("requests", "요청"),
        ("streams", 1) => ("stream", "연결"),
        ("streams", _) => ("streams", "연결"),
        (_, 1) => ("job", "작업"),
        (_, _) => ("jobs", "작업"),
    };
    match lang {
        Lang::En => format!("{count} {en}"),
        Lang::Ko => format!("{ko} {count}건"),
    }
}

/// `asked 2 min ago`.
pub fn ago(lang: Lang, passed: Span) -> String {
    match (lang, passed.0 < 60_000) {
        (Lang::En, true) => "just now".into(),
        (Lang::Ko, true) => "방금 전".into(),
        (Lang::En, false) => format!("{} ago", span(lang, Span(passed.0 / 60_000 * 60_000))),
        (Lang::Ko, false) => format!("{} 전", span(lang, Span(passed.0 / 60_000 * 60_000))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lang, span};
    use naru_model::Span;

    #[test]
    fn a_browser_is_answered_in_the_language_that_it_prefers() {
        for (accepted, want) in [
            ("ko-KR,ko;q=0.9,en;q=0.8", Lang::Ko),
            ("en-US,en;q=0.9,ko;q=0.8", Lang::En),
            ("fr, ko;q=0.5", Lang::Ko),
            ("en;q=0.1,ko;q=0.9", Lang::Ko),
            ("", Lang::En),
            (";;q=,,*", Lang::En),
        ] {
            assert_eq!(Lang::preferred(accepted), want, "{accepted}");
        }
    }

    #[test]
    fn durations_are_whole_minutes() {
        assert_eq!(span(Lang::En, Span::mins(150)), "2 h 30 min");
        assert_eq!(span(Lang::Ko, Span::mins(1500)), "1일 1시간");
        assert_eq!(span(Lang::En, Span(1)), "1 min");
    }
}
