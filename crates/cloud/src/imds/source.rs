//! One IMDS path after the other, with the rule what a 404 means. Must not: know which paths matter.
//! Driven by: [`super`].

use super::{ImdsError, parse};
use crate::error::chain;
use std::fmt::Display;
use std::str::FromStr;

/// A client with one session token. Paths are relative to `/latest/meta-data/` unless they begin with `/`.
pub(super) struct Source(pub(super) aws_config::imds::Client);

impl Source {
    pub(super) fn path(path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/latest/meta-data/{path}")
        }
    }

    pub(super) fn missing(&self, path: &str) -> ImdsError {
        ImdsError::Missing {
            path: Self::path(path),
        }
    }

    /// The text as it is; `None` for a 404.
    pub(super) async fn fetch(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let path = Self::path(path);
        match self.0.get(path.clone()).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(aws_config::imds::client::error::ImdsError::ErrorResponse(answer)) => {
                match answer.response().status().as_u16() {
                    404 => Ok(None),
                    status => Err(ImdsError::Unreachable {
                        path,
                        problem: format!("status {status}"),
                    }),
                }
            }
            Err(error) => Err(ImdsError::Unreachable {
                path,
                problem: chain(&error),
            }),
        }
    }

    /// The text without white space around it; an empty one counts as missing.
    pub(super) async fn text(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let text = self.fetch(path).await?;
        Ok(text
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty()))
    }

    pub(super) async fn required<T: FromStr<Err: Display>>(
        &self,
        path: &str,
    ) -> Result<T, ImdsError> {
        self.optional(path).await?.ok_or_else(|| self.missing(path))
    }

    pub(super) async fn optional<T: FromStr<Err: Display>>(
        &self,
        path: &str,
    ) -> Result<Option<T>, ImdsError> {
        self.text(path)
            .await?
            .map(|text| parse(&Self::path(path), &text))
            .transpose()
    }

    /// Values separated by white space; none when missing.
    pub(super) async fn list<T: FromStr<Err: Display>>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, ImdsError> {
        let text = self.text(path).await?.unwrap_or_default();
        text.split_whitespace()
            .map(|value| parse(&Self::path(path), value))
            .collect()
    }

    /// Values separated by white space, at least one.
    pub(super) async fn required_list<T: FromStr<Err: Display>>(
        &self,
        path: &str,
    ) -> Result<Vec<T>, ImdsError> {
        let list = self.list(path).await?;
        if list.is_empty() {
            Err(self.missing(path))
        } else {
            Ok(list)
        }
    }
}
