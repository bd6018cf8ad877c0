use super::*;

fn parsed(text: &str) -> Target {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn problem(text: &str) -> String {
    text.parse::<Target>().expect_err(text).to_string()
}

#[test]
fn targets_are_read_and_shown_without_secrets() {
    for (text, shown, protocol) in [
        ("tcp://db:9000", "tcp://db:9000", Protocol::Tcp),
        ("tcp://db:9000/", "tcp://db:9000", Protocol::Tcp),
        ("db:9000", "tcp://db:9000", Protocol::Tcp),
        ("10.0.0.1:1", "tcp://10.0.0.1:1", Protocol::Tcp),
        ("[fd00::1]:65535", "tcp://[fd00::1]:65535", Protocol::Tcp),
        ("postgres://orders-db", "postgres://orders-db:5432", Protocol::Postgres),
        ("postgresql://db:5433/orders", "postgresql://db:5433", Protocol::Postgres),
        (
            "PostgreSQL+asyncpg://u:p@db.shop.svc./o?sslmode=require&password=x",
            "postgresql://db.shop.svc.:5432",
            Protocol::Postgres,
        ),
        ("postgres://u:p%2F@h@db/x", "postgres://db:5432", Protocol::Postgres),
        ("jdbc:mysql://db:3307/shop?user=u&password=p", "mysql://db:3307", Protocol::Mysql),
        ("postgres://127.0.0.1:1/db?user=a&password=b@c", "postgres://127.0.0.1:1", Protocol::Postgres),
        ("jdbc:postgresql://srv:5432/db?user=admin@srv&ssl=true", "postgresql://srv:5432", Protocol::Postgres),
        ("jdbc:mysql://srv?user=admin@srv", "mysql://srv:3306", Protocol::Mysql),
        ("mysql://root:secret@db", "mysql://db:3306", Protocol::Mysql),
        ("mariadb://db#x", "mariadb://db:3306", Protocol::Mysql),
        ("redis://:secret@[::1]:6380/0", "redis://[::1]:6380", Protocol::Redis),
        ("rediss://cache", "rediss://cache:6379", Protocol::Redis),
        ("http://web", "http://web:80", Protocol::Http),
        ("https://web/healthz?token=secret#top", "https://web:443/healthz", Protocol::Http),
        ("http://web:8080?a=b", "http://web:8080", Protocol::Http),
        ("dns://my_service.shop.svc.cluster.local", "dns://my_service.shop.svc.cluster.local", Protocol::Dns),
    ] {
        let target = parsed(text);
        assert_eq!((target.to_string().as_str(), target.protocol()), (shown, protocol), "{text}");
    }
}

#[test]
fn http_asks_for_what_the_url_names() {
    for (text, path, authority) in [
        ("http://web", "/", "web"),
        ("http://web:80", "/", "web"),
        ("http://web:8080?a=b", "/?a=b", "web:8080"),
        ("https://web/a/b?c=d#e", "/a/b?c=d", "web"),
        ("https://[::1]:80/", "/", "[::1]:80"),
    ] {
        let target = parsed(text);
        assert_eq!((target.path().as_str(), target.authority().as_str()), (path, authority), "{text}");
    }
}

#[test]
fn what_is_no_target_says_what_to_write() {
    for (text, said) in [
        ("db", "db: a name alone can be waited for in two ways; write dns://db until it has an address, db:PORT until"),
        ("", ": there is no host in it"),
        ("10.0.0.1", "10.0.0.1: there is no port in it; write tcp://HOST:PORT"),
        ("fd00::1", "write [fd00::1]:PORT"),
        ("[fd00::1]", "there is no port in it"),
        ("[fd00::1", "neither a DNS name nor an IP address"),
        ("[fd00::1]5432", "neither a DNS name nor an IP address"),
        ("[10.0.0.1]:80", "neither a DNS name nor an IP address"),
        ("tcp://db", "there is no port in it"),
        ("tcp://db:0", "the port is no number from 1 to 65535"),
        ("tcp://db:65536", "the port is no number from 1 to 65535"),
        ("tcp://db:", "the port is no number from 1 to 65535"),
        ("tcp://db:+1", "the port is no number from 1 to 65535"),
        ("tcp://db:80/path", "tcp takes a host and a port, nothing else"),
        ("tcp://user@db:80", "tcp takes a host and a port, nothing else"),
        ("postgres:///orders", "there is no host in it"),
        ("postgres://a,b/orders", "there are several hosts in it; give each a target of its own"),
        ("postgres://a_b c/", "neither a DNS name nor an IP address"),
        ("mysqll://db", "nothing is known to wait for by mysqll:// (did you mean mysql?); write one of tcp, postgres,"),
        ("mongodb://db", "nothing is known to wait for by mongodb://; write one of"),
        ("dns://db:53", "a name is looked up without a port; write dns://NAME"),
        ("dns://10.0.0.1", "an address has no need to be looked up"),
        ("dns://[::1]", "an address has no need to be looked up"),
        ("http://user@web", "--http-status 401"),
        ("http://web/a b", "percent-encode it"),
        ("https://-web-", "no certificate can be for this host"),
    ] {
        assert!(problem(text).contains(said), "{text}: {}", problem(text));
    }
    for label in ["a".repeat(64), "a..b".to_owned(), ".".to_owned(), "a.".repeat(127) + "a"] {
        assert!(problem(&format!("dns://{label}")).contains("neither a DNS name nor an IP address"), "{label}");
    }
}

#[test]
fn no_secret_is_told_by_what_is_wrong() {
    for text in [
        "postgres://user:hunter2@",
        "postgres://user:hunter2@db:x/orders",
        "postgres://user:hunt/er2@db/orders",
        "postgres://user:123/hunter2@db/orders",
        "mysql://user:hunter2?@db",
        "postgres://user:123?hunter2=@db/orders",
        "postgres://user:123/4?hunter2@db/orders",
        "postgres://user:123/4@hunter2?a=b@db",
        "postgres://db:x/orders?user=a@b&password=p@hunter2",
        "redis://:hunter2#@cache",
        "postgres://db:x/orders?password=hunter2",
        "user:hunter2@db",
        "mongo://user:hunter2@db",
        "http://user:hunter2@web",
        "https://web:x/hunter2",
        "postgres:user:hunter2@db/orders?next=http://web",
        "user:hunter2@://",
        "host=db user=app password=hunter2",
        "host=db password=p@hunter2",
        "Server=db;Uid=app;Pwd=hunter2",
        "Server=tcp://db;Pwd=hunter2",
        "cache:6380,password=hunter2,ssl=True",
        "cache:6380,hunter2",
        "db hunter2",
        "jdbc:sqlserver://db:1433;user=sa;password=hunter2",
        "jdbc:sqlserver://db:1433;user=sa;password=p@hunter2",
        "jdbc:mysql://db:3306;password=hunter2",
        "jdbc:mysql://db:3306;password=p@hunter2",
        "jdbc:oracle:thin:app/hunter2@//db:1521/shop",
        "postgres://app:p@db:x/orders?password=p@hunter2",
    ] {
        let problem = problem(text);
        assert!(!problem.contains("hunt") && !problem.contains("er2") && !problem.contains("123"), "{problem}");
    }
    for (text, said) in [
        ("postgres://user:hunt/er2@db", "postgres://...: a user or password holds / ? or #"),
        ("postgres://user:hunter2@db:x/orders", "postgres://...@db:x: the port is no number"),
        ("host=db password=hunter2", "host...: this is no URL; write postgres://HOST:PORT"),
        ("cache:6380,password=hunter2", "cache:6380...: this is no URL; write postgres://HOST:PORT"),
        ("jdbc:mysql://db:3306;password=hunter2", "jdbc:mysql://db:3306...: this is no URL; write mysql://HOST:PORT"),
        ("jdbc:sqlserver://db:1433;password=hunter2", "jdbc:sqlserver://db:1433...: nothing is known to wait for"),
    ] {
        assert!(problem(text).starts_with(said), "{}", problem(text));
    }
}
