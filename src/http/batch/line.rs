//! One line of a batch's response.

use bytes::Bytes;
use http::StatusCode;

use crate::{
    domain::RequestId,
    http::error::{self, ApiError},
};

/// The bytes of a line in addition to the customer; a problem takes fewer than these.
const LINE_OVERHEAD: usize = 512;

/// The line of a customer, whose JSON has no line break.
pub(super) fn customer(index: usize, customer: &[u8]) -> Bytes {
    let mut line = begin(index, StatusCode::OK, LINE_OVERHEAD + customer.len());
    line.extend_from_slice(b"\"customer\":");
    line.extend_from_slice(customer);
    end(line)
}

/// The line of a look-up without a customer.
pub(super) fn problem(index: usize, error: &ApiError, request_id: &RequestId) -> Bytes {
    let mut line = begin(index, error.code().status(), LINE_OVERHEAD);
    line.extend_from_slice(b"\"problem\":");
    error::write_problem_of_line(error, request_id, &mut line);
    end(line)
}

fn begin(index: usize, status: StatusCode, capacity: usize) -> Vec<u8> {
    let mut line = Vec::with_capacity(capacity);
    line.extend_from_slice(b"{\"index\":");
    line.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
    line.extend_from_slice(b",\"status\":");
    line.extend_from_slice(status.as_str().as_bytes());
    line.push(b',');
    line
}

fn end(mut line: Vec<u8>) -> Bytes {
    line.extend_from_slice(b"}\n");
    Bytes::from(line)
}
