//! Pages of lists, and the positions that lead from one to the next.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// A request for one page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// The position that an earlier page returned; `None` for the first page.
    pub position: Option<String>,
    /// Maximum number of entries.
    pub limit: usize,
    /// The list with its filters. A position is valid only for the list that returned it.
    pub list: String,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries of the page.
    pub items: Vec<T>,
    /// The position of the next page; `None` on the last one.
    pub position: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            position: None,
        }
    }
}

impl PageRequest {
    /// The place in `part` of the list after which the page starts, decoded from the position.
    ///
    /// # Errors
    /// [`Error::BadPosition`] for a position that another list returned.
    pub fn after(&self, part: &str) -> Result<Option<String>, Error> {
        let decoded = self.position.as_ref().map(|position| {
            let bytes = URL_SAFE_NO_PAD.decode(position).ok()?;
            let place = bytes.strip_prefix(&self.checksum(part))?;
            String::from_utf8(place.to_vec()).ok()
        });
        match decoded {
            None => Ok(None),
            Some(place) => place.map(Some).ok_or(Error::BadPosition),
        }
    }

    /// The position of `place` in `part` of the list.
    pub fn position(&self, part: &str, place: &str) -> String {
        URL_SAFE_NO_PAD.encode([&self.checksum(part), place.as_bytes()].concat())
    }

    /// The first bytes of each position of a list. A checksum suffices: it detects mistakes and protects no secret.
    fn checksum(&self, part: &str) -> [u8; 4] {
        crc32fast::hash(format!("{}\n{part}", self.list).as_bytes()).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_good_for_its_own_list_only() {
        let request = |list: &str, position: Option<String>| PageRequest {
            position,
            limit: 1,
            list: list.to_owned(),
        };
        let position = request("keys", None).position("a", "place");
        let after = |list, part| request(list, Some(position.clone())).after(part).ok();
        assert_eq!(after("keys", "a"), Some(Some("place".to_owned())));
        assert_eq!(after("keys", "b"), None);
        assert_eq!(after("plans", "a"), None);
        assert!(request("keys", Some(String::new())).after("a").is_err());
    }
}
