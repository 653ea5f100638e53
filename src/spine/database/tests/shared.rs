//! A server that many databases share: what the roles are, and what a start refuses.

use sqlx::{ConnectOptions, Connection, Executor};

use super::super::*;
use crate::testing;

#[tokio::test]
async fn each_test_has_its_own_database_though_they_are_made_at_once() {
    let (one, two, three) = tokio::join!(testing::database(), testing::database(), testing::database());
    assert_ne!(one.name(), two.name());
    one.superuser()
        .await
        .execute("CREATE TABLE public.only_in_one ()")
        .await
        .unwrap();
    for (test, there) in [(&one, true), (&two, false), (&three, false)] {
        let found: bool = sqlx::query_scalar("SELECT to_regclass('public.only_in_one') IS NOT NULL")
            .fetch_one(test.db.app())
            .await
            .unwrap();
        assert_eq!(found, there);
    }
}

#[tokio::test]
async fn a_test_database_is_gone_when_its_test_ends() {
    let stays = testing::database().await;
    let ends = testing::database().await;
    let name = ends.name().to_owned();
    drop(ends);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_catalog.pg_database WHERE datname = $1")
        .bind(&name)
        .fetch_one(&mut stays.superuser().await)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn the_hubs_roles_are_what_they_claim_to_be() {
    let test = testing::database().await;
    for (pool, role) in [(test.db.app(), Role::App), (test.db.spine(), Role::Spine)] {
        let (user, path, zone): (String, String, String) = sqlx::query_as(
            "SELECT current_user::text, current_setting('search_path'), current_setting('timezone')",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        assert_eq!((user.as_str(), zone.as_str()), (role.name(), "UTC"));
        assert_eq!(path, "pg_catalog,pg_temp");
        let refused = sqlx::query("CREATE TABLE public.mine ()")
            .execute(pool)
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
    let own_path = test
        .db
        .connect_options(Role::Spine)
        .options([("search_path", "mq")]);
    let mut conn = own_path.connect().await.unwrap();
    let path: String = sqlx::query_scalar("SELECT current_setting('search_path')")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(path, "mq", "the queue sets a path of its own");
}

#[tokio::test]
async fn a_new_function_is_not_for_everybody() {
    let test = testing::database().await;
    let mut owner = test.db.connect_options(Role::Owner).connect().await.unwrap();
    owner
        .execute(
            "CREATE SCHEMA t; GRANT USAGE ON SCHEMA t TO allod_app;
             GRANT CREATE, USAGE ON SCHEMA t TO allod_definer;
             CREATE FUNCTION t.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE FUNCTION t.g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 2';
             ALTER FUNCTION t.g() OWNER TO allod_definer;",
        )
        .await
        .unwrap();
    for call in ["SELECT t.f()", "SELECT t.g()"] {
        let refused = sqlx::query(call).execute(test.db.app()).await.unwrap_err();
        assert!(
            refused.to_string().contains("permission denied for function"),
            "{refused}"
        );
    }
    owner
        .execute("SET ROLE allod_definer; GRANT EXECUTE ON FUNCTION t.g() TO allod_app")
        .await
        .unwrap();
    let answer: i32 = sqlx::query_scalar("SELECT t.g()")
        .fetch_one(test.db.app())
        .await
        .unwrap();
    assert_eq!(answer, 2);
}

/// A role's attributes belong to the whole server, so this changes them in a transaction that is never committed.
#[tokio::test]
async fn a_start_with_a_role_that_could_bypass_row_level_security_is_refused_by_name() {
    let test = testing::database().await;
    let mut superuser = test.superuser().await;
    roles::verify(&mut superuser).await.unwrap();
    for (change, said) in [
        (
            "ALTER ROLE allod_app BYPASSRLS",
            "allod_app bypasses row-level security",
        ),
        ("ALTER ROLE allod_spine SUPERUSER", "allod_spine is a superuser"),
        ("ALTER ROLE allod_owner CREATEROLE", "allod_owner may make roles"),
        (
            "GRANT allod_owner TO allod_app",
            "allod_app is a member of allod_owner",
        ),
        (
            "GRANT pg_read_all_data TO allod_spine",
            "allod_spine is a member of pg_read_all_data",
        ),
        (
            "GRANT postgres TO allod_owner",
            "allod_owner is a member of postgres",
        ),
        (
            "CREATE TABLE public.t (); ALTER TABLE public.t OWNER TO allod_app",
            "allod_app owns t",
        ),
        ("CREATE SCHEMA s AUTHORIZATION allod_spine", "allod_spine owns s"),
    ] {
        let mut tx = superuser.begin().await.unwrap();
        tx.execute(change).await.unwrap();
        let refused = roles::verify(&mut tx).await.expect_err(change).to_string();
        assert!(refused.contains(said), "{change}: {refused}");
        tx.rollback().await.unwrap();
    }
    roles::verify(&mut superuser).await.unwrap();
}

#[tokio::test]
async fn a_newer_database_and_an_edited_migration_are_refused_and_a_second_run_changes_nothing() {
    let test = testing::database().await;
    let mut owner = test.db.connect_options(Role::Owner).connect().await.unwrap();
    migrate(&mut owner).await.unwrap();
    owner
        .execute(
            "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999999, 'of the future', true, 'x', 0)",
        )
        .await
        .unwrap();
    let newer = migrate(&mut owner).await.unwrap_err().to_string();
    assert!(newer.contains("newer allod (migration 999999"), "{newer}");
    owner
        .execute(
            "DELETE FROM public._sqlx_migrations WHERE version = 999999;
             UPDATE public._sqlx_migrations SET checksum = 'x' WHERE version = 1",
        )
        .await
        .unwrap();
    let edited = migrate(&mut owner).await.unwrap_err().to_string();
    assert!(edited.contains("migration 1 differs"), "{edited}");
}
