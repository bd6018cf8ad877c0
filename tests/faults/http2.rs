//! HTTP/2 as no client library speaks it: frames by hand (RFC 9113, section 4.1).

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::scene::{LONG, Scene, memory, runtime, served_at_once};
use crate::webhook::tls_to;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// RFC 9113, section 7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// `POST https://localhost/mutate`, with the static table of RFC 7541 and literals that are not indexed.
const POST: &[u8] = b"\x83\x87\x04\x07/mutate\x01\x09localhost\x0f\x10\x10application/json";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A connection after its preface, with these settings.
async fn connect(scene: &Scene, settings: &[u8]) -> TlsStream<TcpStream> {
    let ca = scene.server.path("certs/ca.crt");
    let mut stream = tls_to(scene.server.address, &ca, &["h2"]).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// What the server had to say until it closed: how many frames of each kind, and the codes of resets and of the goodbye.
#[derive(Debug, Default)]
struct Said {
    answers: usize,
    resets: Vec<u32>,
    goodbye: Option<u32>,
}

/// Sends `frames` while they are taken, and listens until the server closes or this many streams have ended.
async fn flood(stream: TlsStream<TcpStream>, frames: impl Iterator<Item = Vec<u8>>, ended: usize) -> Said {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let sending = async {
        for frame in frames {
            if writer.write_all(&frame).await.is_err() {
                return;
            }
        }
    };
    let listening = async {
        let mut said = Said::default();
        let mut head = [0; 9];
        while said.answers + said.resets.len() < ended && reader.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if reader.read_exact(&mut payload).await.is_err() {
                break;
            }
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                HEADERS => said.answers += 1,
                RST_STREAM => said.resets.push(code(0)),
                GOAWAY => said.goodbye = Some(code(4)),
                _ => {}
            }
        }
        said
    };
    let both = async { tokio::join!(sending, listening).1 };
    timeout(LONG, both).await.expect("an end")
}

/// Streams a client may begin: odd numbers.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| 2 * index + 1)
}

#[test]
fn floods_of_frames_end_their_connection_and_harm_no_other() {
    let scene = Scene::start(&[]);
    let load = scene.load(4);
    let before = memory(&scene.server, "VmHWM:");
    runtime().block_on(async {
        let rapid = streams(20_000).map(|stream| {
            let mut both = frame(HEADERS, END_HEADERS, stream, POST);
            both.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            both
        });
        let said = flood(connect(&scene, &[]).await, rapid, usize::MAX).await;
        println!("rapid reset: {said:?}");
        assert_eq!(said.goodbye, Some(ENHANCE_YOUR_CALM));

        // One byte was promised. Each stream is cancelled by the server, which then no more counts it as open.
        let promise = [POST, b"\x0f\x0d\x011"].concat();
        let made = streams(20_000).map(|stream| {
            let mut both = frame(HEADERS, END_HEADERS, stream, &promise);
            both.extend(frame(DATA, 0, stream, b"{}"));
            both
        });
        let said = flood(connect(&scene, &[]).await, made, usize::MAX).await;
        println!("made resets: {}, {:?}", said.resets.len(), said.goodbye);
        assert_eq!(said.goodbye, Some(ENHANCE_YOUR_CALM));

        let open = streams(2_000).map(|stream| frame(HEADERS, END_HEADERS, stream, POST));
        let said = flood(connect(&scene, &[]).await, open, 1_500).await;
        let refused = said.resets.iter().filter(|code| **code == REFUSED_STREAM).count();
        println!("stream flood: {} resets, {refused} of them refusals, {:?}", said.resets.len(), said.goodbye);
        assert!(refused > 0 && said.answers == 0, "{said:?}");

        let endless = std::iter::once(frame(HEADERS, 0, 1, POST))
            .chain((0..20_000).map(|index| frame(CONTINUATION, 0, 1, format!("\x00\x05h{index:04}\x01x").as_bytes())));
        let said = flood(connect(&scene, &[]).await, endless, usize::MAX).await;
        println!("CONTINUATION: {said:?}");
        assert!(said.goodbye.is_some_and(|code| code != 0), "{said:?}");

        let wide = [&b"\x00\x05large\x7f\x81\x7f"[..], &[b'x'; 16_000]].concat();
        let large = streams(10).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[POST, &wide].concat()));
        let said = flood(connect(&scene, &[]).await, large, 10).await;
        println!("large heads: {said:?}");
        assert!(said.answers + said.resets.len() >= 10 || said.goodbye.is_some(), "{said:?}");
    });
    let before_end = load.tally().good;
    load.until(LONG, |tally| tally.good > before_end + 50).unwrap();
    let tally = served_at_once(load);
    let peak = memory(&scene.server, "VmHWM:");
    println!("HTTP/2 floods: {} good answers meanwhile, {before} MiB before, {peak} MiB peak", tally.good);
    assert!(peak < before + 64, "{before} MiB before, {peak} MiB at the peak");
}

#[test]
fn answers_that_are_never_taken_are_cancelled() {
    let scene = Scene::start(&[]);
    // SETTINGS_INITIAL_WINDOW_SIZE 0: answers may not be sent.
    let settings = [0, 4, 0, 0, 0, 0];
    let asked = 100;
    let requests = streams(asked).map(|stream| {
        let mut request = frame(HEADERS, END_HEADERS, stream, POST);
        request.extend(frame(DATA, END_STREAM, stream, b"{}"));
        request
    });
    let said = runtime().block_on(async {
        // The heads of answers count twice: as what was said, and with what ends them.
        let stream = connect(&scene, &settings).await;
        flood(stream, requests, 2 * asked as usize).await
    });
    println!("window of 0: {} heads of answers, {} cancelled", said.answers, said.resets.len());
    assert_eq!((said.answers, said.resets.len()), (asked as usize, asked as usize));
    let load = scene.load(2);
    load.until(LONG, |tally| tally.good > 20).unwrap();
}
