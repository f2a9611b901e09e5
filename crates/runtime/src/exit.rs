//! How the program ends, in one number. When several things are true of one call, the first of
//! 2, 1, 3, 4 is told.

use std::process::ExitCode;

/// The exit codes of `scimfleet`. Ordered by what is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Exit {
    /// 2: wrong usage or configuration; nothing was done.
    Usage,
    /// 1: something failed.
    Failed,
    /// 3: a run stopped on invalid data.
    Stopped,
    /// 4: something is held for approval.
    Held,
    /// 0: done.
    #[default]
    Done,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Stopped => 3,
            Self::Held => 4,
        }
    }

    /// What is told when both are true.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

impl FromIterator<Exit> for Exit {
    /// What is told when all are true; [`Exit::Done`] when there are none.
    fn from_iter<I: IntoIterator<Item = Exit>>(exits: I) -> Self {
        exits.into_iter().fold(Self::Done, Self::and)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::{self, Done, Failed, Held, Stopped, Usage};

    #[test]
    fn the_first_of_2_1_3_4_is_told() {
        let cases: [(&[Exit], u8); 8] = [
            (&[], 0),
            (&[Done, Done], 0),
            (&[Done, Held], 4),
            (&[Held, Stopped], 3),
            (&[Stopped, Failed, Held], 1),
            (&[Failed, Usage], 2),
            (&[Held, Done, Usage, Stopped, Failed], 2),
            (&[Failed, Done], 1),
        ];
        for (exits, code) in cases {
            assert_eq!(exits.iter().copied().collect::<Exit>().code(), code, "{exits:?}");
        }
    }
}
