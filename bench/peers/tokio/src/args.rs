//! `NAME --param value ...`: the command line every peer understands.

use std::collections::HashMap;
use std::process::exit;

pub struct Args {
    pub name: String,
    values: HashMap<String, String>,
}

impl Args {
    pub fn parse() -> Args {
        let mut words = std::env::args().skip(1);
        let name = words.next().unwrap_or_else(|| fail("a benchmark's name is missing"));
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let Some(key) = word.strip_prefix("--") else {
                fail(&format!("expected --param, found {word}"));
            };
            let value = words.next().unwrap_or_else(|| fail(&format!("{word} wants a value")));
            values.insert(key.to_string(), value);
        }
        Args { name, values }
    }

    pub fn number(&self, key: &str, default: u64) -> u64 {
        match self.values.get(key) {
            None => default,
            Some(text) => {
                text.parse().unwrap_or_else(|_| fail(&format!("--{key}: {text} is no number")))
            }
        }
    }

    pub fn float(&self, key: &str, default: f64) -> f64 {
        match self.values.get(key) {
            None => default,
            Some(text) => {
                text.parse().unwrap_or_else(|_| fail(&format!("--{key}: {text} is no number")))
            }
        }
    }

    pub fn text<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.values.get(key).map_or(default, |text| text.as_str())
    }

    pub fn flag(&self, key: &str) -> bool {
        self.number(key, 0) != 0
    }
}

pub fn fail(message: &str) -> ! {
    eprintln!("peer_tokio: {message}");
    exit(2)
}
