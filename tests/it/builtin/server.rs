//! An HTTP server for containers that are processes here.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// The lines up to the empty one.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The path that is asked for, with its query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn read(connection: &TcpStream) -> Self {
        let mut reader = BufReader::new(connection);
        let lines = reader.by_ref().lines().map_while(Result::ok);
        let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let mut request = Self { head, body: Vec::new() };
        let length = request.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        reader.take(length).read_to_end(&mut request.body).unwrap();
        request
    }
}

/// A server on this machine, until the tests end.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each path with its texts in turn, the last one for good: a whole answer, headers and all.
    pub fn start(answers: &[(&'static str, &'static [&'static str])]) -> Self {
        let mut answers: HashMap<&str, &[&str]> = answers.iter().copied().collect();
        Self::answering(move |request| {
            let Some(rest) = answers.get_mut(request.path()) else {
                return "404 Not Found\r\nContent-Length: 0\r\n\r\n".into();
            };
            let answer = rest[0];
            *rest = if rest.len() > 1 { &rest[1..] } else { rest };
            answer.into()
        })
    }

    /// Answers what `answer` makes of each request, after `HTTP/1.1 `.
    pub fn answering(mut answer: impl FnMut(&Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let request = Request::read(&connection);
                let answer = [b"HTTP/1.1 ", &*answer(&request)].concat();
                seen.lock().unwrap().push(request);
                // A client that has seen enough hangs up.
                let _ = (&connection).write_all(&answer);
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}
