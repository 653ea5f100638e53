//! A stand-in for Twilio's REST API that has a history of calls and takes texts, after its public description.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

/// Serves until the test's process ends.
pub(super) struct History {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    calls: Vec<Value>,
    texts: Vec<String>,
}

impl History {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = kept.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared); // a client that went away is none of ours
            }
        });
        Self { address, kept }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Somebody called just now and hung up; the provider tells no more of it by itself.
    pub(super) fn has_call(&self, sid: &str, from: &str, to: &str) {
        let now = SystemClock.now().to_rfc2822();
        self.kept.lock().unwrap().calls.push(json!({
            "sid": sid, "direction": "inbound", "status": "no-answer", "from": from, "to": to, "duration": "0",
            "start_time": now, "end_time": now, "date_created": now, "parent_call_sid": null,
        }));
    }

    /// The texts that it took, in order.
    pub(super) fn texts(&self) -> Vec<String> {
        self.kept.lock().unwrap().texts.clone()
    }
}

fn answer(stream: TcpStream, kept: &Mutex<Kept>) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or(0);
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = said(&method, &path, &body, &mut kept.lock().unwrap()).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (&stream).write_all(format!("{head}{body}").as_bytes())
}

fn said(method: &str, path: &str, body: &[u8], kept: &mut Kept) -> Value {
    let list = path.split('?').next().unwrap_or_default();
    if method == "POST" {
        let mut fields = url::form_urlencoded::parse(body);
        let text = fields
            .find(|(name, _)| name == "Body")
            .map(|(_, text)| text.into_owned());
        kept.texts.push(text.unwrap_or_default());
        return json!({ "sid": format!("SM{}", kept.texts.len()), "status": "queued" });
    }
    if list.ends_with("/Calls.json") {
        return json!({ "calls": kept.calls, "next_page_uri": null });
    }
    json!({ "messages": [], "next_page_uri": null })
}
