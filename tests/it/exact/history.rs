//! What was written and what was read, and when: a history in which every call has a start and an end.
//!
//! Nothing is known about the moment at which a call took effect but that it lies between the two.

/// From the start of a call to its end, in nanoseconds since the test began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

/// Something that calls set to values, one after the other or at the same time.
#[derive(Debug, Clone)]
pub struct Register<V> {
    writes: Vec<Written<V>>,
}

#[derive(Debug, Clone)]
struct Written<V> {
    value: V,
    span: Span,
    /// The call said that it took effect. Otherwise it may have.
    surely: bool,
}

impl<V> Register<V> {
    /// A register that has held this value from the beginning.
    pub fn holding(value: V) -> Self {
        Self { writes: vec![Written { value, span: Span { from: 0, to: 0 }, surely: true }] }
    }

    /// A call set it.
    pub fn write(&mut self, value: V, span: Span) {
        self.insert(value, span, true);
    }

    /// A call may have set it.
    pub fn perhaps(&mut self, value: V, span: Span) {
        self.insert(value, span, false);
    }

    fn insert(&mut self, value: V, span: Span, surely: bool) {
        let at = self.writes.partition_point(|write| write.span.from <= span.from);
        self.writes.insert(at, Written { value, span, surely });
    }

    /// Every value that it can have had at some moment of this span: of the calls that had started, those that are not
    /// surely overwritten by a call that started after their end and ended before the span.
    pub fn possible(&self, during: Span) -> impl Iterator<Item = &V> {
        let started = &self.writes[..self.writes.partition_point(|write| write.span.from <= during.to)];
        let overwritten = started.iter().rev().find(|write| write.surely && write.span.to < during.from);
        let overwritten = overwritten.map_or(0, |write| write.span.from);
        started.iter().filter(move |write| write.span.to >= overwritten).map(|write| &write.value)
    }

    /// Every value that it was set to.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.writes.iter().filter(|write| write.surely).map(|write| &write.value)
    }

    /// The values that calls had surely set before this span.
    pub fn settled_before(&self, during: Span) -> impl Iterator<Item = &V> {
        self.writes.iter().filter(move |write| write.surely && write.span.to < during.from).map(|write| &write.value)
    }
}

/// The categories that are asked about.
pub const CATEGORIES: [&str; 2] = ["signInLogs", "auditLogs"];

/// What became of a consent. It only ever goes forward in this order (R15), and a scope never grows (R9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Pending,
    /// Which of the categories, until when by the service's clock; and whether it was narrowed.
    Approved {
        categories: [bool; 2],
        until_ms: Option<i64>,
        narrowed: bool,
    },
    Ended,
}

impl Consent {
    const fn rank(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Approved { narrowed: false, .. } => 1,
            Self::Approved { narrowed: true, .. } => 2,
            Self::Ended => 3,
        }
    }
}

/// An access request, with the consents that it needs.
#[derive(Debug, Clone)]
pub struct Request {
    pub case: usize,
    pub asked: Span,
    pub consents: Vec<Register<Consent>>,
}

/// A support request.
#[derive(Debug, Clone)]
pub struct Case {
    pub open: Register<bool>,
    pub closed: Vec<(Span, bool)>,
    pub assignee: Register<Option<&'static str>>,
    /// R5. None: submitted in another portal, so that a consent decides about its own tenant (R7).
    pub setting: Option<Register<bool>>,
    /// The newest access request.
    pub request: Register<Option<usize>>,
}

/// A bundle that was loaded: `locked` forbids the second category of fabrikam.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub version: String,
    pub locked: bool,
}

/// A question: of which case, by whom, about whose data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    pub case: usize,
    pub engineer: &'static str,
    pub tenant: &'static str,
    pub category: usize,
}

/// A question with its answer.
#[derive(Debug, Clone)]
pub struct Read {
    pub decision_id: String,
    pub asked: Asked,
    pub span: Span,
    /// Which batch it was a part of.
    pub batch: Option<u64>,
    pub allowed: bool,
    pub code: String,
    pub policies: Vec<String>,
    pub version: String,
    /// Not told to who is not assigned (R20).
    pub revision: Option<u64>,
}

/// Everything that happened.
#[derive(Debug, Clone)]
pub struct History {
    pub cases: Vec<Case>,
    pub requests: Vec<Request>,
    /// The place in `loaded` of the bundle in force.
    pub bundle: Register<usize>,
    pub loaded: Vec<Loaded>,
    /// The clock before its first turn, and its turns.
    pub began_ms: i64,
    pub turns: Vec<(Span, i64)>,
    pub reads: Vec<Read>,
}

/// Which answers are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    pub allow: bool,
    pub deny: bool,
}

impl Right {
    const fn certain(allow: bool) -> Self {
        Self { allow, deny: !allow }
    }

    fn any(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self { allow: false, deny: false }, |a, b| Self { allow: a.allow || b.allow, deny: a.deny || b.deny })
    }

    fn all(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::certain(true), |a, b| Self { allow: a.allow && b.allow, deny: a.deny || b.deny })
    }
}

impl History {
    /// Closing ends every consent under a support request (R14); of a request created meanwhile nobody can tell.
    pub fn with_closings(mut self) -> Self {
        for request in &mut self.requests {
            for (closed, surely) in &self.cases[request.case].closed {
                for consent in &mut request.consents {
                    if request.asked.to < closed.from && *surely {
                        consent.write(Consent::Ended, *closed);
                    } else if request.asked.from <= closed.to {
                        consent.perhaps(Consent::Ended, *closed);
                    }
                }
            }
        }
        self
    }

    /// What this question may be answered by this bundle at some moment of this span.
    pub fn right(&self, asked: Asked, during: Span, bundle: &Loaded) -> Right {
        let case = &self.cases[asked.case];
        let values = |register: &Register<bool>| Right::any(register.possible(during).copied().map(Right::certain));
        let assigned = case.assignee.possible(during).map(|assignee| Right::certain(*assignee == Some(asked.engineer)));
        let granted = match (&case.setting, asked.tenant) {
            (Some(setting), "contoso") => values(setting),
            _ => Right::any(case.request.possible(during).map(|request| match request {
                Some(request) => Right::all(
                    self.requests[*request].consents.iter().map(|consent| self.consent(consent, asked, during)),
                ),
                None => Right::certain(false),
            })),
        };
        let locked = bundle.locked && asked.tenant == "fabrikam" && asked.category == 1;
        Right::all([values(&case.open), Right::any(assigned), granted, Right::certain(!locked)])
    }

    fn consent(&self, consent: &Register<Consent>, asked: Asked, during: Span) -> Right {
        let reached = consent.settled_before(during).map(|value| value.rank()).max().unwrap_or(0);
        let possible = consent.possible(during).filter(|value| value.rank() >= reached);
        Right::any(possible.map(|value| match *value {
            Consent::Approved { categories, until_ms, .. } if categories[asked.category] => match until_ms {
                None => Right::certain(true),
                Some(until_ms) => {
                    let turned = |had: &dyn Fn(Span) -> bool| {
                        self.turns.iter().filter(|turn| had(turn.0)).map(|turn| turn.1).sum::<i64>() + self.began_ms
                    };
                    let (earliest, latest) =
                        (turned(&|turn| turn.to < during.from), turned(&|turn| turn.from <= during.to));
                    Right { allow: earliest < until_ms, deny: latest >= until_ms }
                }
            },
            Consent::Pending | Consent::Approved { .. } | Consent::Ended => Right::certain(false),
        }))
    }
}

/// How much was written.
#[derive(Debug, Default)]
pub struct Writes {
    pub taken: u64,
    pub given: u64,
    pub reloads: usize,
    pub turns: usize,
}

impl History {
    /// How many calls took away and gave; those that set what was set before are not told apart.
    pub fn writes(&self) -> Writes {
        let mut writes = Writes { reloads: self.loaded.len() - 1, turns: self.turns.len(), ..Writes::default() };
        let mut count = |takes: bool| *if takes { &mut writes.taken } else { &mut writes.given } += 1;
        for case in &self.cases {
            case.open.values().for_each(|open| count(!open));
            case.assignee.values().for_each(|assignee| count(*assignee != Some("vendor/ada")));
            case.setting.iter().flat_map(Register::values).for_each(|setting| count(!setting));
        }
        for consent in self.requests.iter().flat_map(|request| &request.consents) {
            for value in consent.values().skip(1) {
                count(!matches!(value, Consent::Approved { narrowed: false, .. }));
            }
        }
        writes
    }
}
